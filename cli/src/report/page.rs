//! One file that holds a whole page: our own markup, style and scripts, and the data as blocks of JSON and base64.
//!
//! The page is opened from a disk, perhaps one without a network, perhaps years later, so nothing in it points anywhere. A policy in
//! its head forbids every connection, and allows only the script and the style that carry the page's own number. Text of the input
//! (names of files, warnings, labels) is only ever data: JSON in which `<`, `>` and `&` are escapes, which the scripts set as text and
//! never as markup.
//!
//! Tables and texts are before the script, packed rows and pictures behind it, each followed by a call that says that it is there: a
//! browser shows the page while it still reads most of it. Rows and pictures are kept until then; their sizes have bounds.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use serde::Serialize;
use somata_io::atomic::OutputFile;

use super::rows::{Layout, Row, base64};
use crate::exit::Outcome;

/// Markup around the blocks, cut where the parts go in.
const SKELETON: &str = include_str!("assets/page.html");
const STYLE: &str = include_str!("assets/page.css");
/// Scripts that every page has, in order.
const SHARED: [&str; 5] = [
    include_str!("assets/base.js"),
    include_str!("assets/zoom.js"),
    include_str!("assets/plot.js"),
    include_str!("assets/table.js"),
    include_str!("assets/panels.js"),
];

/// What a page shows; each has scripts of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The result of a sort.
    Sorting,
    /// The result of a movie.
    Imaging,
    /// Two sortings of one recording.
    TwoSortings,
    /// Two results of one field.
    TwoMovies,
}

impl Kind {
    fn scripts(self) -> &'static [&'static str] {
        match self {
            Kind::Sorting => &[
                include_str!("assets/sorting_maps.js"),
                include_str!("assets/sorting_drift.js"),
                include_str!("assets/sorting_activity.js"),
                include_str!("assets/sorting_unit.js"),
                include_str!("assets/sorting.js"),
            ],
            Kind::Imaging => &[
                include_str!("assets/outline.js"),
                include_str!("assets/imaging_field.js"),
                include_str!("assets/imaging_cell.js"),
                include_str!("assets/imaging.js"),
            ],
            Kind::TwoSortings => &[include_str!("assets/two_sortings.js")],
            Kind::TwoMovies => &[
                include_str!("assets/outline.js"),
                include_str!("assets/two_movies.js"),
            ],
        }
    }
}

/// Writes a page to `path`: `fill` writes its blocks.
///
/// # Errors
/// When the file cannot be written, or what `fill` returns.
pub fn write_page(
    path: &Path,
    kind: Kind,
    title: &str,
    fill: impl FnOnce(&mut Blocks<'_>) -> Outcome,
) -> Outcome {
    let mut file = OutputFile::create(path)?;
    let nonce = nonce(title);
    let (head, tail) = SKELETON
        .split_once("{{data}}")
        .expect("the skeleton has a place for data");
    let (before_script, tail) = tail
        .split_once("{{script}}")
        .expect("the skeleton has a place for scripts");
    let (after_script, end) = tail
        .split_once("{{later}}")
        .expect("the skeleton has a place for what comes later");
    let head = head
        .replace("{{nonce}}", &nonce)
        .replace("{{style}}", STYLE)
        .replace("{{title}}", &as_text(title));
    file.write_with(|out| out.write_all(head.as_bytes()))?;
    let mut blocks = Blocks {
        file: &mut file,
        later: Vec::new(),
    };
    fill(&mut blocks)?;
    let later = blocks.later;
    file.write_with(|out| {
        out.write_all(before_script.replace("{{nonce}}", &nonce).as_bytes())?;
        for script in SHARED.iter().chain(kind.scripts()) {
            out.write_all(script.as_bytes())?;
        }
        out.write_all(after_script.as_bytes())?;
        for (id, text) in &later {
            write!(
                out,
                "<script type=\"text/plain\" id=\"data-{id}\">{text}</script>\n\
                 <script nonce=\"{nonce}\">arrived('{id}');</script>\n"
            )?;
        }
        out.write_all(end.as_bytes())
    })?;
    file.commit()?;
    Ok(())
}

/// A number that nobody could have written into the input beforehand.
fn nonce(title: &str) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let text = format!("{title} {now} {}", std::process::id());
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

/// Text as the content of an element.
fn as_text(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Appends blocks of data to a page.
pub struct Blocks<'a> {
    file: &'a mut OutputFile,
    /// What comes behind the script: names and texts of blocks.
    later: Vec<(String, String)>,
}

impl Blocks<'_> {
    /// A block of JSON. Numbers that are not finite become null.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn json(&mut self, id: &str, value: &impl Serialize) -> Outcome {
        self.block(id, |out| out.write_all(script_json(value).as_bytes()))
    }

    /// A block of a JSON list, which is never in memory as a whole.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn list<T: Serialize>(&mut self, id: &str, values: impl IntoIterator<Item = T>) -> Outcome {
        self.block(id, |out| {
            out.write_all(b"[")?;
            for (k, value) in values.into_iter().enumerate() {
                out.write_all(if k == 0 { b"\n" } else { b",\n" })?;
                out.write_all(script_json(&value).as_bytes())?;
            }
            out.write_all(b"]")
        })
    }

    /// Rows of packed numbers, base64, in the block `id`; their layout is the block `id-layout`. Blocks arrive in the order in which they
    /// are given.
    ///
    /// # Errors
    /// When the file cannot be written, or what comes with a row.
    pub fn rows(
        &mut self,
        id: &str,
        layout: &Layout,
        rows: impl IntoIterator<Item = Outcome<Row>>,
    ) -> Outcome {
        let mut text = String::new();
        let mut n_rows = 0;
        for row in rows {
            text.push_str(&base64(&row?.finish(layout)));
            n_rows += 1;
        }
        self.later.push((id.to_owned(), text));
        self.json(&format!("{id}-layout"), &layout.description(n_rows))
    }

    /// A picture (PNG), base64, in the block `id`.
    pub fn picture(&mut self, id: &str, png: &[u8]) {
        self.later.push((id.to_owned(), base64(png)));
    }

    fn block(
        &mut self,
        id: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
    ) -> Outcome {
        self.file.write_with(|out| {
            write!(out, "<script type=\"application/json\" id=\"data-{id}\">")?;
            write(out)?;
            out.write_all(b"</script>\n")
        })?;
        Ok(())
    }
}

/// JSON that can stand inside a script element: no text in it ends the element or begins a comment, and none ends a line.
fn script_json(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("plain data");
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        // Outside of strings JSON has none of these.
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\u{7f}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_block_and_reads_back_the_same() {
        let hostile = "</script><script>alert(1)</script><!-- \u{2028}\u{2029}\u{7f} & \" ' \\ 🧠";
        let json = script_json(&hostile);
        for forbidden in ["<", ">", "&", "\u{2028}", "\u{2029}"] {
            assert!(!json.contains(forbidden), "{forbidden:?} in {json}");
        }
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
        assert_eq!(as_text("</title><b>&"), "&lt;/title&gt;&lt;b&gt;&amp;");
    }

    #[test]
    fn pages_point_nowhere() {
        let kinds = [
            Kind::Sorting,
            Kind::Imaging,
            Kind::TwoSortings,
            Kind::TwoMovies,
        ];
        let own = kinds.map(Kind::scripts).concat();
        for text in SHARED.iter().chain(&own).chain([&SKELETON, &STYLE]) {
            for forbidden in [
                "http:",
                "https:",
                "//www",
                "import ",
                "fetch(",
                "XMLHttpRequest",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "url(",
            ] {
                assert!(!text.contains(forbidden), "`{forbidden}` in a page");
            }
        }
    }
}
