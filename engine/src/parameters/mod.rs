//! Parameters: each typed once, with its meaning, unit, default and range.
//!
//! The command's help, `somata params`, the TOML reader and docs/reference/parameters.md are all made from these
//! declarations, so they cannot disagree.

pub mod imaging;
pub mod sorting;

use serde::Serialize;

/// A parameter is unknown, of the wrong kind or out of range.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ParameterError {
    /// No stage or parameter has this name.
    #[error("unknown parameter `{name}`{}", suggestion(.nearest))]
    Unknown {
        /// As it was typed.
        name: String,
        /// The known name that is most like it.
        nearest: Option<String>,
    },
    /// It belongs to another command.
    #[error("`{name}` is a parameter of {owner}, not of {asked}")]
    Elsewhere {
        /// Full name.
        name: String,
        /// The commands that were asked to take it.
        asked: &'static str,
        /// The commands that have it.
        owner: &'static str,
    },
    /// The value cannot be read, or is outside the range.
    #[error("`{name}` cannot be `{value}`: it is {expected}")]
    Value {
        /// Full name.
        name: String,
        /// As it was typed.
        value: String,
        /// Kind and range, in words.
        expected: String,
    },
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|name| format!(", did you mean `{name}`?"))
        .unwrap_or_default()
}

/// One parameter, for help and schema.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// Stage that it belongs to.
    pub stage: &'static str,
    /// Name within the stage.
    pub name: &'static str,
    /// `number`, `integer` or `boolean`.
    pub kind: &'static str,
    /// Default, as it would be typed.
    pub default: String,
    /// Unit, empty for a pure number.
    pub unit: &'static str,
    /// Smallest and largest value, as they would be typed.
    pub range: (String, String),
    /// What it does.
    pub help: &'static str,
}

/// A kind of value that a parameter may have.
pub trait Value: Copy + PartialOrd + std::fmt::Display + std::str::FromStr {
    /// Name of the kind.
    const KIND: &'static str;
}
impl Value for f64 {
    const KIND: &'static str = "number";
}
impl Value for u32 {
    const KIND: &'static str = "integer";
}
impl Value for bool {
    const KIND: &'static str = "boolean";
}

/// `an integer`, `a number`.
fn with_article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {kind}")
}

/// Reads a value and checks its range.
///
/// # Errors
/// When it cannot be read or is out of range.
pub fn parse<T: Value>(name: &str, text: &str, low: T, high: T) -> Result<T, ParameterError> {
    match text.trim().parse::<T>() {
        Ok(value) if value >= low && value <= high => Ok(value),
        _ => Err(ParameterError::Value {
            name: name.into(),
            value: text.into(),
            expected: format!("{} from {low} to {high}", with_article(T::KIND)),
        }),
    }
}

/// Declares a stage's parameters.
#[macro_export]
macro_rules! stage_parameters {
    (
        $(#[doc = $doc:literal])* $stage:literal $name:ident {
            $(#[doc = $help:literal] $field:ident : $kind:ty = $default:expr, $unit:literal, $low:expr, $high:expr;)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        pub struct $name {
            $(#[doc = $help] pub $field: $kind,)*
        }
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
        impl $name {
            /// Name of the stage.
            pub const STAGE: &'static str = $stage;
            /// All parameters of the stage.
            pub fn descriptions() -> Vec<$crate::parameters::Description> {
                vec![$($crate::parameters::Description {
                    stage: $stage,
                    name: stringify!($field),
                    kind: <$kind as $crate::parameters::Value>::KIND,
                    default: format!("{}", { let default: $kind = $default; default }),
                    unit: $unit,
                    range: (format!("{}", { let low: $kind = $low; low }), format!("{}", { let high: $kind = $high; high })),
                    help: $help.trim_ascii(),
                }),*]
            }
            /// Sets one parameter from text; `Ok(false)` when the stage has none of this name.
            ///
            /// # Errors
            /// When the value cannot be read or is out of range.
            pub fn set(&mut self, name: &str, text: &str) -> Result<bool, $crate::parameters::ParameterError> {
                match name {
                    $(stringify!($field) => {
                        let full = concat!($stage, ".", stringify!($field));
                        self.$field = $crate::parameters::parse::<$kind>(full, text, $low, $high)?;
                        Ok(true)
                    })*
                    _ => Ok(false),
                }
            }
        }
    };
}

/// The parameters of a whole run: its stages together.
pub trait ParameterSet: Default + Serialize {
    /// The commands that take them, in words.
    const COMMANDS: &'static str;

    /// All parameters, stage by stage.
    fn descriptions() -> Vec<Description>;

    /// Sets `stage.name` from text; `Ok(false)` when there is none of this name.
    ///
    /// # Errors
    /// When the value does not fit.
    fn try_set(&mut self, stage: &str, name: &str, text: &str) -> Result<bool, ParameterError>;

    /// Sets `stage.name` from text.
    ///
    /// # Errors
    /// When the name is unknown (with the nearest known one), that of another command's parameter, or the value does not fit.
    fn set(&mut self, full_name: &str, text: &str) -> Result<(), ParameterError> {
        let (stage, name) = full_name.split_once('.').unwrap_or(("", full_name));
        if self.try_set(stage, name, text)? {
            return Ok(());
        }
        if let Some(owner) = owner(full_name) {
            return Err(ParameterError::Elsewhere {
                name: full_name.into(),
                asked: Self::COMMANDS,
                owner,
            });
        }
        let names: Vec<String> = Self::descriptions()
            .iter()
            .map(|description| format!("{}.{}", description.stage, description.name))
            .collect();
        Err(ParameterError::Unknown {
            name: full_name.into(),
            nearest: nearest(full_name, names.iter().map(String::as_str)),
        })
    }
}

/// The commands that have a parameter, where there are any.
fn owner(full_name: &str) -> Option<&'static str> {
    fn of<P: ParameterSet>(full_name: &str) -> Option<&'static str> {
        let (stage, name) = full_name.split_once('.')?;
        P::descriptions()
            .iter()
            .any(|description| description.stage == stage && description.name == name)
            .then_some(P::COMMANDS)
    }
    of::<sorting::SortingParameters>(full_name)
        .or_else(|| of::<imaging::ImagingParameters>(full_name))
}

/// Declares the parameters of a whole run from those of its stages.
#[macro_export]
macro_rules! parameter_set {
    ($(#[doc = $doc:literal])* $commands:literal $name:ident { $($(#[doc = $help:literal])* $field:ident : $kind:ty,)* }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
        pub struct $name {
            $($(#[doc = $help])* pub $field: $kind,)*
        }
        impl $crate::parameters::ParameterSet for $name {
            const COMMANDS: &'static str = $commands;
            fn descriptions() -> Vec<$crate::parameters::Description> {
                [$(<$kind>::descriptions()),*].concat()
            }
            fn try_set(&mut self, stage: &str, name: &str, text: &str) -> Result<bool, $crate::parameters::ParameterError> {
                match stage {
                    $(<$kind>::STAGE => self.$field.set(name, text),)*
                    _ => Ok(false),
                }
            }
        }
    };
}

/// The candidate with the smallest edit distance to `name`, when it is close enough to be a typo.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let n_letters = name.chars().count();
    candidates
        // A name of a megabyte is no typo, and its distance would take seconds.
        .filter(|candidate| {
            n_letters.abs_diff(candidate.chars().count()) <= 2 + candidate.len() / 4
        })
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 2 + candidate.len() / 4)
        .map(|(_, candidate)| candidate.to_owned())
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(ca != cb))
                .min(above + 1)
                .min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}
