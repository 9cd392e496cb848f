//! `somata bench`

use clap::Args;
use serde_json::{Value, json};
use somata_engine::device::limits::{self, Rate};

use crate::{
    commands::{print, print_json},
    exit::{ExitCode, Failure, Outcome},
};

/// Arguments of `somata bench`.
#[derive(Args)]
pub struct Arguments {
    /// Threads, all by default
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Measures the processor's limits and the kernels of a sort.
pub fn run(arguments: &Arguments) -> Outcome {
    let all = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = arguments.threads.unwrap_or(all);
    if threads == 0 || threads > all {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("--threads {threads}: this machine has {all}"),
        )
        .hint(format!("give a number from 1 to {all}")));
    }
    let limits = limits::limits(threads);
    let kernels = limits::kernels(threads);
    let (copy, arithmetic) = (limits[0].gbytes(), limits[1].gflops());
    if arguments.json {
        return print_json(&json!({
            "threads": threads,
            "limits": limits.iter().map(described).collect::<Vec<_>>(),
            "kernels": kernels.iter().map(described).collect::<Vec<_>>(),
        }));
    }
    let mut text = format!(
        "{threads} threads\n\n{:24} {:>9} {:>9}\n",
        "limit", "GFLOP/s", "GB/s"
    );
    for limit in &limits {
        text.push_str(&format!("{:24} {}\n", limit.name, figures(limit)));
    }
    text.push_str(&format!(
        "\n{:24} {:>9} {:>9} {:>9} {:>9} {:>9}\n",
        "kernel, 64 channels", "GFLOP/s", "GB/s", "of sums", "of copy", "ms"
    ));
    for kernel in &kernels {
        text.push_str(&format!(
            "{:24} {} {:>8.0}% {:>8.0}% {:>9.2}\n",
            kernel.name,
            figures(kernel),
            100.0 * kernel.gflops() / arithmetic,
            100.0 * kernel.gbytes() / copy,
            1e3 * kernel.seconds,
        ));
    }
    print(&text);
    Ok(())
}

/// Both rates, where there is something to count.
fn figures(rate: &Rate) -> String {
    let figure = |value: f64| {
        if value > 0.0 {
            format!("{value:>9.1}")
        } else {
            format!("{:>9}", "-")
        }
    };
    format!("{} {}", figure(rate.gflops()), figure(rate.gbytes()))
}

fn described(rate: &Rate) -> Value {
    json!({
        "name": rate.name,
        "seconds": rate.seconds,
        "gflops": rate.gflops(),
        "gbytes": rate.gbytes(),
    })
}
