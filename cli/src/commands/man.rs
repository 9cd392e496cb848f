//! `somata man`

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;
use somata_io::{IoError, atomic::write_file};

use crate::{commands::print, exit::Outcome};

/// Arguments of `somata man`.
#[derive(Args)]
pub struct Arguments {
    /// Folder for the pages, for example ~/.local/share/man/man1; it is made where it is not there, and older pages are replaced
    folder: PathBuf,
}

/// Writes `somata.1`, `somata-sort.1` and so on, and prints their names.
pub fn run(arguments: &Arguments, mut command: Command) -> Outcome {
    let folder = &arguments.folder;
    std::fs::create_dir_all(folder).map_err(|source| IoError::Write {
        path: folder.clone(),
        source,
    })?;
    // The names of subcommands are put together when a command is built.
    command.build();
    write_pages(folder, &command)
}

/// The page of a command, and those of what is below it.
fn write_pages(folder: &Path, command: &Command) -> Outcome {
    let man = Man::new(command.clone());
    let name = man.get_filename();
    let mut page = Vec::new();
    man.render(&mut page).expect("memory takes every write");
    write_file(&folder.join(&name), &page)?;
    print(&format!("{name}\n"));
    let below = command.get_subcommands();
    for command in below.filter(|below| !below.is_hide_set() && below.get_name() != "help") {
        write_pages(folder, command)?;
    }
    Ok(())
}
