//! `somata params`

use clap::{Args, ValueEnum};
use serde::Serialize;
use somata_engine::parameters::{
    Description, ParameterSet, imaging::ImagingParameters, sorting::SortingParameters,
};

use crate::{
    commands::{print, print_json},
    exit::Outcome,
};

/// A command that has parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    /// `somata sort`
    Sort,
    /// `somata image` and `somata segment`
    Image,
}

/// Arguments of `somata params`.
#[derive(Args)]
pub struct Arguments {
    /// Only those of one command
    command: Option<Command>,
    /// Print JSON: name, kind, default, unit, range and help of each parameter
    #[arg(long)]
    json: bool,
    /// Print the reference page docs/reference/parameters.md
    #[arg(long, hide = true)]
    markdown: bool,
}

/// A parameter, and which command has it.
#[derive(Serialize)]
struct Parameter {
    command: Command,
    #[serde(flatten)]
    description: Description,
}

fn all(command: Option<Command>) -> Vec<Parameter> {
    let of = |command: Command, descriptions: Vec<Description>| {
        descriptions.into_iter().map(move |description| Parameter {
            command,
            description,
        })
    };
    of(Command::Sort, SortingParameters::descriptions())
        .chain(of(Command::Image, ImagingParameters::descriptions()))
        .filter(|parameter| command.is_none_or(|command| command == parameter.command))
        .collect()
}

/// Lists parameters.
pub fn run(arguments: &Arguments) -> Outcome {
    let all = all(arguments.command);
    if arguments.json {
        return print_json(&all);
    }
    if arguments.markdown {
        print(&markdown());
        return Ok(());
    }
    let mut shown = (None, "");
    for parameter in &all {
        let d = &parameter.description;
        if shown.0 != Some(parameter.command) && arguments.command.is_none() {
            print(&format!("\nsomata {}\n", name(parameter.command)));
        }
        if shown != (Some(parameter.command), d.stage) {
            shown = (Some(parameter.command), d.stage);
            print(&format!("\n[{}]\n", d.stage));
        }
        let unit = if d.unit.is_empty() {
            String::new()
        } else {
            format!(" {}", d.unit)
        };
        let setting = format!("{} = {}", d.name, d.default);
        print(&format!(
            "{setting:<34}{} ({} to {}{unit})\n",
            d.help, d.range.0, d.range.1
        ));
    }
    print(
        "\nSet one with `--set stage.name=value`, or several in a TOML file with `--params FILE`.\n",
    );
    Ok(())
}

fn name(command: Command) -> &'static str {
    match command {
        Command::Sort => "sort",
        Command::Image => "image",
    }
}

/// The reference page.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Parameters\n\nMade by `somata params --markdown`; do not edit.\n\n\
         Set one with `--set stage.name=value`, or several in a TOML file with `--params FILE`.\n",
    );
    let mut shown = (None, "");
    for parameter in &all(None) {
        let d = &parameter.description;
        if shown.0 != Some(parameter.command) {
            text.push_str(&format!("\n## `somata {}`\n", name(parameter.command)));
        }
        if shown != (Some(parameter.command), d.stage) {
            shown = (Some(parameter.command), d.stage);
            text.push_str(&format!(
                "\n### {}\n\n| name | default | unit | range | meaning |\n|---|---|---|---|---|\n",
                d.stage
            ));
        }
        text.push_str(&format!(
            "| `{}` | {} | {} | {} to {} | {} |\n",
            d.name, d.default, d.unit, d.range.0, d.range.1, d.help
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_page_is_current() {
        let page = include_str!("../../../docs/reference/parameters.md");
        assert!(
            page == super::markdown(),
            "run `cargo run -- params --markdown > docs/reference/parameters.md`"
        );
    }
}
