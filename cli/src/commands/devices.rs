//! `somata devices`

use clap::Args;
use serde_json::json;
use somata_engine::device::adapters;

use crate::{
    commands::{print, print_json},
    exit::Outcome,
};

/// Arguments of `somata devices`.
#[derive(Args)]
pub struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists adapters.
pub fn run(arguments: &Arguments) -> Outcome {
    let found = adapters::list();
    let auto = adapters::describe_auto(&found);
    if arguments.json {
        let rows: Vec<_> = found
            .iter()
            .map(|adapter| {
                json!({
                    "index": adapter.index,
                    "name": adapter.name,
                    "backend": adapter.backend,
                    "driver": adapter.driver,
                    "type": adapter.device_type.to_string(),
                    "pci_bus_id": adapter.pci_bus_id,
                    "is_software": adapter.is_software,
                    "max_binding_bytes": adapter.max_binding_bytes,
                })
            })
            .collect();
        return print_json(&json!({ "adapters": rows, "auto": auto }));
    }
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut text = format!("cpu  {threads} threads\n");
    for adapter in &found {
        let software = if adapter.is_software {
            "  (software: only taken when asked for)"
        } else {
            ""
        };
        text.push_str(&format!("{adapter}  {}{software}\n", adapter.driver));
    }
    text.push_str(&format!("`--device auto` takes: {auto}\n"));
    print(&text);
    Ok(())
}
