//! `somata reference`: the page docs/reference/command.md, made from the help of every command.

use clap::Command;

use crate::{commands::print, exit::Outcome};

/// Columns of the page; the terminal's do not matter.
const WIDTH: usize = 100;

/// Prints the page.
pub fn run(command: Command) -> Outcome {
    print(&markdown(command));
    Ok(())
}

/// The help of a command and of all below it, as typed after `--help`.
fn markdown(command: Command) -> String {
    let mut command = command.term_width(WIDTH);
    command.build();
    let mut text = String::from(
        "# The command\n\nMade by `somata reference`; do not edit. What each command says after `--help`. Parameters are in \
         [parameters.md](parameters.md), what is written in [output-folder.md](output-folder.md), how a run ends in \
         [exit-codes.md](exit-codes.md).\n",
    );
    section(&mut text, &command, "somata");
    text
}

fn section(text: &mut String, command: &Command, name: &str) {
    let help = command.clone().render_long_help().to_string();
    text.push_str(&format!("\n## `{name}`\n\n"));
    for line in help.trim_end().lines() {
        let line = format!("    {line}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let below = command.get_subcommands();
    for command in below.filter(|below| !below.is_hide_set() && below.get_name() != "help") {
        section(text, command, &format!("{name} {}", command.get_name()));
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_page_of_the_command_is_up_to_date() {
        let page = include_str!("../../../docs/reference/command.md");
        assert!(
            page == super::markdown(crate::Cli::command()),
            "run `cargo run -- reference > docs/reference/command.md`"
        );
    }
}
