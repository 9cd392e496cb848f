//! `somata completions`

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{commands::print, exit::Outcome};

const AFTER_HELP: &str = "\
Where the script goes:
  bash  somata completions bash > ~/.local/share/bash-completion/completions/somata
  zsh   somata completions zsh > DIR/_somata, where DIR is in $fpath
  fish  somata completions fish > ~/.config/fish/completions/somata.fish

A new shell then completes.";

/// Arguments of `somata completions`.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn run(arguments: &Arguments, mut command: Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "somata", &mut script);
    print(&String::from_utf8(script).expect("names and help are UTF-8"));
    Ok(())
}
