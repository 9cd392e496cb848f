//! `somata params`

use clap::Args;
use somata_engine::parameters::sorting::SortingParameters;

use crate::{
    commands::{print, print_json},
    exit::Outcome,
};

/// Arguments of `somata params`.
#[derive(Args)]
pub struct Arguments {
    /// Print JSON: name, kind, default, unit, range and help of each parameter
    #[arg(long)]
    json: bool,
    /// Print the reference page docs/reference/parameters.md
    #[arg(long, hide = true)]
    markdown: bool,
}

/// Lists parameters.
pub fn run(arguments: &Arguments) -> Outcome {
    let all = SortingParameters::descriptions();
    if arguments.json {
        return print_json(&all);
    }
    if arguments.markdown {
        print(&markdown());
        return Ok(());
    }
    let mut stage = "";
    for parameter in &all {
        if parameter.stage != stage {
            stage = parameter.stage;
            print(&format!("\n[{stage}]\n"));
        }
        let unit = if parameter.unit.is_empty() {
            String::new()
        } else {
            format!(" {}", parameter.unit)
        };
        let setting = format!("{} = {}", parameter.name, parameter.default);
        print(&format!(
            "{setting:<34}{} ({} to {}{unit})\n",
            parameter.help, parameter.range.0, parameter.range.1
        ));
    }
    print(
        "\nSet one with `--set stage.name=value`, or several in a TOML file with `--params FILE`.\n",
    );
    Ok(())
}

/// The reference page.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Parameters\n\nMade by `somata params --markdown`; do not edit.\n\n\
         Set one with `--set stage.name=value`, or several in a TOML file with `--params FILE`.\n",
    );
    let mut stage = "";
    for parameter in &SortingParameters::descriptions() {
        if parameter.stage != stage {
            stage = parameter.stage;
            text.push_str(&format!("\n## {stage}\n\n| name | default | unit | range | meaning |\n|---|---|---|---|---|\n"));
        }
        text.push_str(&format!(
            "| `{}` | {} | {} | {} to {} | {} |\n",
            parameter.name,
            parameter.default,
            parameter.unit,
            parameter.range.0,
            parameter.range.1,
            parameter.help
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
