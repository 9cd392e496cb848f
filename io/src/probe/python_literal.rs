//! Python literals as text: numbers, texts, lists, tuples, dicts, and `range(…)` and `list(…)` of them. Nothing is run.

use std::path::Path;

use crate::error::IoError;

/// Levels of lists in lists; probes need five.
const MAX_DEPTH: usize = 32;
/// Numbers that a `range` may stand for: no probe has more channels.
const MAX_RANGE: i64 = 1 << 16;

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Literal {
    /// A whole number.
    Whole(i64),
    /// Another number.
    Real(f64),
    /// A text.
    Text(String),
    /// `None`, `True`, `False`.
    Name(String),
    /// A list, tuple or range.
    List(Vec<Literal>),
    /// A dict, in the order of the text.
    Dict(Vec<(Literal, Literal)>),
}

impl Literal {
    /// A number of any kind.
    pub fn number(&self) -> Option<f64> {
        match self {
            Literal::Whole(number) => Some(*number as f64),
            Literal::Real(number) => Some(*number),
            _ => None,
        }
    }

    /// The entries of a list.
    pub fn list(&self) -> Option<&[Literal]> {
        match self {
            Literal::List(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a dict's text key.
    pub fn get(&self, key: &str) -> Option<&Literal> {
        let Literal::Dict(entries) = self else {
            return None;
        };
        // The last one wins where a key is given twice, as in Python.
        let entry = entries
            .iter()
            .rev()
            .find(|(name, _)| matches!(name, Literal::Text(name) if name == key));
        entry.map(|(_, value)| value)
    }
}

/// The value that `name = …` at the beginning of a line gives, if there is one; `path` is for messages.
///
/// # Errors
/// When what follows is no literal.
pub(super) fn assigned(path: &Path, text: &str, name: &str) -> Result<Option<Literal>, IoError> {
    let mut start = 0;
    let mut found = None;
    for line in text.split_inclusive('\n') {
        let after_name = line.strip_prefix(name).map(str::trim_start);
        if let Some(value) = after_name.and_then(|rest| rest.strip_prefix('='))
            && !value.starts_with('=')
        {
            // The last assignment wins, as in Python.
            found = Some(start + line.len() - value.len());
        }
        start += line.len();
    }
    let Some(at) = found else {
        return Ok(None);
    };
    let mut parser = Parser { path, text, at };
    parser.value(0).map(Some)
}

/// Takes values off the front of the text.
struct Parser<'a> {
    path: &'a Path,
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn bad(&self, what: impl Into<String>) -> IoError {
        let line = self.text[..self.at].matches('\n').count() + 1;
        IoError::malformed(self.path, format!("line {line}"), what)
    }

    /// The error that something else than a literal stands here.
    fn no_literal(&self) -> IoError {
        let seen: String = self
            .rest()
            .chars()
            .take_while(|c| *c != '\n')
            .take(30)
            .collect();
        let seen = seen.trim();
        if seen.is_empty() {
            return self.bad("a bracket is not closed");
        }
        self.bad(format!(
            "`{seen}` is not a plain number, text, list or dict; Python code is not run"
        ))
    }

    /// Passes over spaces, line ends and comments.
    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n', '\\']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    /// Passes over a mark if it is next.
    fn takes(&mut self, mark: char) -> bool {
        self.skip_space();
        let is_next = self.rest().starts_with(mark);
        if is_next {
            self.at += mark.len_utf8();
        }
        is_next
    }

    fn value(&mut self, depth: usize) -> Result<Literal, IoError> {
        if depth > MAX_DEPTH {
            return Err(self.bad(format!("lists are nested more than {MAX_DEPTH} deep")));
        }
        self.skip_space();
        let value = match self.rest().chars().next() {
            Some('[') => Literal::List(self.entries('[', ']', depth)?.0),
            Some('(') => {
                let (mut entries, has_comma) = self.entries('(', ')', depth)?;
                // Parentheses around one value without a comma are only parentheses.
                match (entries.len(), has_comma) {
                    (1, false) => entries.remove(0),
                    _ => Literal::List(entries),
                }
            }
            Some('{') => self.dict(depth)?,
            Some(quote @ ('"' | '\'')) => self.text_literal(quote)?,
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => self.number()?,
            Some(c) if c.is_ascii_alphabetic() || c == '_' => self.named(depth)?,
            _ => return Err(self.no_literal()),
        };
        // What follows a value inside of a line shows whether it was all of an expression.
        let after = self.rest().trim_start_matches([' ', '\t', '\r']);
        match after.chars().next() {
            None | Some(',' | ']' | ')' | '}' | ':' | '\n' | '#' | ';') => Ok(value),
            Some(_) => Err(self.no_literal()),
        }
    }

    /// Values between brackets, and whether there was a comma.
    fn entries(
        &mut self,
        open: char,
        close: char,
        depth: usize,
    ) -> Result<(Vec<Literal>, bool), IoError> {
        if !self.takes(open) {
            return Err(self.no_literal());
        }
        let (mut entries, mut has_comma) = (Vec::new(), false);
        loop {
            if self.takes(close) {
                return Ok((entries, has_comma));
            }
            entries.push(self.value(depth + 1)?);
            if self.takes(',') {
                has_comma = true;
            } else if self.takes(close) {
                return Ok((entries, has_comma));
            } else {
                return Err(self.no_literal());
            }
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Literal, IoError> {
        let mut entries = Vec::new();
        self.takes('{');
        loop {
            if self.takes('}') {
                return Ok(Literal::Dict(entries));
            }
            let key = self.value(depth + 1)?;
            if !self.takes(':') {
                return Err(self.no_literal());
            }
            entries.push((key, self.value(depth + 1)?));
            if !self.takes(',') {
                return if self.takes('}') {
                    Ok(Literal::Dict(entries))
                } else {
                    Err(self.no_literal())
                };
            }
        }
    }

    /// A text in single quotes of either kind; a backslash takes the next character as it is.
    fn text_literal(&mut self, quote: char) -> Result<Literal, IoError> {
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((offset, c)) = characters.next() {
            match c {
                _ if c == quote => {
                    self.at += offset + c.len_utf8();
                    return Ok(Literal::Text(text));
                }
                '\n' => break,
                '\\' => text.extend(characters.next().map(|(_, c)| c)),
                _ => text.push(c),
            }
        }
        Err(self.bad("a text is not closed"))
    }

    fn number(&mut self) -> Result<Literal, IoError> {
        let rest = self.rest();
        let mut end = 0;
        let mut before = ' ';
        for c in rest.chars() {
            let is_sign = matches!(c, '-' | '+') && (end == 0 || matches!(before, 'e' | 'E'));
            if !(c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '_') || is_sign) {
                break;
            }
            end += 1;
            before = c;
        }
        let digits = rest[..end].replace('_', "");
        let value = match digits.parse::<i64>() {
            Ok(number) => Literal::Whole(number),
            Err(_) => match digits.parse::<f64>() {
                Ok(number) => Literal::Real(number),
                Err(_) => return Err(self.no_literal()),
            },
        };
        self.at += end;
        Ok(value)
    }

    /// `None`, `True`, `False`, `range(…)`, `list(…)`, `tuple(…)`, or a number of numpy.
    fn named(&mut self, depth: usize) -> Result<Literal, IoError> {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.'))
            .unwrap_or(rest.len());
        let name = &rest[..end];
        match name {
            "None" | "True" | "False" => {
                self.at += end;
                Ok(Literal::Name(name.to_owned()))
            }
            "range" | "xrange" | "list" | "tuple" => {
                let start = self.at;
                self.at += end;
                let (arguments, _) = self.entries('(', ')', depth)?;
                let value = match (name, &arguments[..]) {
                    ("range" | "xrange", _) => range(&arguments),
                    (_, []) => Some(Literal::List(vec![])),
                    (_, [Literal::List(entries)]) => Some(Literal::List(entries.clone())),
                    _ => None,
                };
                value.ok_or_else(|| {
                    self.at = start;
                    self.no_literal()
                })
            }
            // How numpy writes its numbers, and so what programs leave that print them.
            _ if name.starts_with("np.int")
                || name.starts_with("np.uint")
                || name.starts_with("np.float") =>
            {
                let start = self.at;
                self.at += end;
                let (mut arguments, _) = self.entries('(', ')', depth)?;
                match arguments.pop() {
                    Some(number @ (Literal::Whole(_) | Literal::Real(_)))
                        if arguments.is_empty() =>
                    {
                        Ok(number)
                    }
                    _ => {
                        self.at = start;
                        Err(self.no_literal())
                    }
                }
            }
            _ => Err(self.no_literal()),
        }
    }
}

/// The numbers of `range(stop)`, `range(start, stop)` or `range(start, stop, step)`.
fn range(arguments: &[Literal]) -> Option<Literal> {
    let whole = |literal: &Literal| match literal {
        Literal::Whole(number) => Some(*number),
        _ => None,
    };
    let numbers: Vec<i64> = arguments.iter().map(whole).collect::<Option<_>>()?;
    let (start, stop, step) = match numbers[..] {
        [stop] => (0, stop, 1),
        [start, stop] => (start, stop, 1),
        [start, stop, step] if step != 0 => (start, stop, step),
        _ => return None,
    };
    if start.checked_abs()? > MAX_RANGE || stop.checked_abs()? > MAX_RANGE {
        return None;
    }
    let mut entries = Vec::new();
    let mut at = start;
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        entries.push(Literal::Whole(at));
        at = at.checked_add(step)?;
    }
    Some(Literal::List(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<Literal, IoError> {
        assigned(Path::new("a.prb"), &format!("x = {text}\n"), "x").map(Option::unwrap)
    }

    #[test]
    fn literals_are_read_as_python_reads_them() {
        use Literal::{Dict, List, Name, Real, Text, Whole};
        assert_eq!(value("-3").unwrap(), Whole(-3));
        assert_eq!(value("1_000.5e-1 # comment").unwrap(), Real(100.05));
        assert_eq!(value("(7)").unwrap(), Whole(7));
        assert_eq!(value("(7,)").unwrap(), List(vec![Whole(7)]));
        assert_eq!(value("[]").unwrap(), List(vec![]));
        let numpy = value("[np.int64(3), np.float32(-.5)]").unwrap();
        assert_eq!(numpy, List(vec![Whole(3), Real(-0.5)]));
        assert_eq!(value("'a\\'b'").unwrap(), Text("a'b".to_owned()));
        assert_eq!(
            value("list(range(4, 0, -2))").unwrap(),
            List(vec![Whole(4), Whole(2)])
        );
        let found = value("{ # first\n 0: {'a': None,\n }, 'b': (1, 2.)}").unwrap();
        let expected = Dict(vec![
            (
                Whole(0),
                Dict(vec![(Text("a".to_owned()), Name("None".to_owned()))]),
            ),
            (Text("b".to_owned()), List(vec![Whole(1), Real(2.0)])),
        ]);
        assert_eq!(found, expected);
    }

    #[test]
    fn code_is_named_and_not_run() {
        for (text, part) in [
            ("np.arange(4)", "`np.arange(4)`"),
            ("np.int64([1])", "`np.int64([1])`"),
            ("np.int64(1, 2)", "np.int64"),
            ("[1, 2] * 3", "`* 3`"),
            ("[1, __import__('os')]", "__import__"),
            ("{0: 1 + 2}", "+ 2"),
            ("[1, 2", "line 2: a bracket is not closed"),
            ("range(10000000)", "range"),
            ("range(1, 2, 0)", "range"),
            ("'a", "not closed"),
            ("--", "`--`"),
            ("{1 2}", "`2}`"),
        ] {
            let error = value(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(value(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn the_last_assignment_at_the_beginning_of_a_line_counts() {
        let text = "xy = 1\n x = 2\nx == 3\nx=4\nx = 5\n";
        assert_eq!(
            assigned(Path::new("a"), text, "x").unwrap(),
            Some(Literal::Whole(5))
        );
        assert_eq!(assigned(Path::new("a"), text, "z").unwrap(), None);
    }
}
