//! The command `somata`: parse, run, report, exit.

mod adapt;
mod again;
mod allocator;
mod commands;
mod estimates;
mod exit;
#[cfg(test)]
mod hostile;
mod imaging_output;
mod imaging_result;
mod kept_movies;
mod messages;
mod report;
mod run;
mod signals;
mod sorting_output;

use clap::{CommandFactory, Parser, Subcommand};

// Tests count what inputs take, with an allocator of their own.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

/// Raw neural recordings into neurons: spikes sorted, cells found, on any GPU or on none.
#[derive(Parser)]
#[command(name = "somata", version, about, long_about = None, max_term_width = 100, after_help = commands::help::MAIN)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Simulate a small recording and a small movie, process both, and print the scores
    Demo(commands::demo::Arguments),
    /// Sort a raw probe recording into units
    Sort(Box<commands::sort::Arguments>),
    /// Find cells, traces and spikes in a two-photon movie
    Image(Box<commands::image::Arguments>),
    /// Label cells in still images
    Segment(Box<commands::segment::Arguments>),
    /// Make a result again from its manifest: input, every parameter, device
    Rerun(Box<commands::rerun::Arguments>),
    /// Simulate data with known truth
    #[command(subcommand)]
    Simulate(commands::simulate::Arguments),
    /// Score a result against the truth
    Validate(commands::validate::Arguments),
    /// Compare two results with each other
    Compare(commands::compare::Arguments),
    /// Pair the cells of two sessions of one field
    Match(commands::match_sessions::Arguments),
    /// Hand a result on to another program: NWB, SpikeInterface, tables, MATLAB, Cellpose, COCO, ImageJ
    Convert(commands::convert::Arguments),
    /// Say what a file is, draw its probe, and name the command that processes it
    Info(commands::info::Arguments),
    /// List the devices and what `--device auto` would take
    Devices(commands::devices::Arguments),
    /// Measure what this processor can do at most, and how near the kernels of a sort come to it
    Bench(commands::bench::Arguments),
    /// List all parameters with defaults, units and ranges
    Params(commands::params::Arguments),
    /// Print the script with which a shell completes commands and options
    Completions(commands::completions::Arguments),
    /// Write the manual pages
    Man(commands::man::Arguments),
    /// Print the reference page docs/reference/command.md
    #[command(hide = true)]
    Reference,
}

fn main() {
    let cli = Cli::parse();
    let outcome = std::panic::catch_unwind(|| {
        signals::survive_file_size_limit().map_err(|error| {
            exit::Failure::new(
                exit::ExitCode::Unexpected,
                format!("could not catch a signal: {error}"),
            )
        })?;
        run(cli.command)?;
        commands::stdout_is_whole()
    })
    .unwrap_or_else(|_| {
        Err(exit::Failure::new(
            exit::ExitCode::Unexpected,
            "somata stopped unexpectedly",
        ))
    });
    if let Err(failure) = outcome {
        messages::print_failure(&failure);
        std::process::exit(failure.code as i32);
    }
}

fn run(command: Command) -> exit::Outcome {
    match command {
        Command::Demo(arguments) => commands::demo::run(&arguments),
        Command::Sort(arguments) => commands::sort::run(&arguments),
        Command::Image(arguments) => commands::image::run(&arguments),
        Command::Segment(arguments) => commands::segment::run(&arguments),
        Command::Rerun(arguments) => commands::rerun::run(&arguments),
        Command::Simulate(arguments) => commands::simulate::run(&arguments),
        Command::Validate(arguments) => commands::validate::run(&arguments),
        Command::Compare(arguments) => commands::compare::run(&arguments),
        Command::Match(arguments) => commands::match_sessions::run(&arguments),
        Command::Convert(arguments) => commands::convert::run(&arguments),
        Command::Info(arguments) => commands::info::run(&arguments),
        Command::Devices(arguments) => commands::devices::run(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Params(arguments) => commands::params::run(&arguments),
        Command::Completions(arguments) => commands::completions::run(&arguments, Cli::command()),
        Command::Man(arguments) => commands::man::run(&arguments, Cli::command()),
        Command::Reference => commands::reference::run(Cli::command()),
    }
}
