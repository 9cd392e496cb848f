//! Plays commands on the processor and on the adapter, and compares what came back.

use std::sync::OnceLock;

use somata_engine::device::{
    Commands, CpuExecutor, Downloads, Executor,
    adapters::{self, DeviceChoice},
};

/// Half a unit in the last place of 1: the relative error of one operation.
pub const ROUNDING: f32 = 1.0 / 16_777_216.0;

/// The two executors.
pub struct Both {
    pub cpu: CpuExecutor,
    pub gpu: Box<dyn Executor>,
}

/// Both executors, or `None` where there is no adapter and none is required.
pub fn both() -> Option<&'static Both> {
    static BOTH: OnceLock<Option<Both>> = OnceLock::new();
    let both = BOTH.get_or_init(|| match adapters::open(&DeviceChoice::Gpu, 1, |_| ()) {
        Ok(gpu) => {
            eprintln!("adapter: {}", gpu.name());
            Some(Both {
                cpu: CpuExecutor::new(1),
                gpu,
            })
        }
        Err(error) => {
            eprintln!("{error}");
            None
        }
    });
    if both.is_none() {
        assert!(
            std::env::var("SOMATA_REQUIRE_ADAPTER").as_deref() != Ok("1"),
            "SOMATA_REQUIRE_ADAPTER=1, but no adapter was found"
        );
        println!("ignored: no adapter");
    }
    both.as_ref()
}

impl Both {
    /// Plays what `record` writes on both; `read` takes its downloads. Returns the processor's, then the adapter's.
    pub fn play<R, T>(
        &self,
        record: impl Fn(&mut Commands) -> R,
        read: impl Fn(&mut Downloads, R) -> T,
    ) -> (T, T) {
        let run = |executor: &dyn Executor| {
            let mut commands = Commands::new();
            let ids = record(&mut commands);
            let mut downloads = executor
                .play(commands)
                .unwrap_or_else(|error| panic!("{}: {error}", executor.name()));
            read(&mut downloads, ids)
        };
        (run(&self.cpu), run(&*self.gpu))
    }
}

/// Fails where two arrays differ by more than `tolerance`, or where one has a value that is no number.
#[track_caller]
pub fn assert_close(case: &str, cpu: &[f32], gpu: &[f32], tolerance: f32) {
    assert_eq!(cpu.len(), gpu.len(), "{case}: lengths");
    let mut worst = (0.0, 0);
    for (i, (a, b)) in cpu.iter().zip(gpu).enumerate() {
        assert!(a.is_finite() && b.is_finite(), "{case}: {a} and {b} at {i}");
        if (a - b).abs() > worst.0 {
            worst = ((a - b).abs(), i);
        }
    }
    let (difference, i) = worst;
    println!("{case}: largest difference {difference:e}, allowed {tolerance:e}");
    assert!(
        difference <= tolerance,
        "{case}: cpu {} and gpu {} at {i} differ by {difference:e}, allowed {tolerance:e}",
        cpu[i],
        gpu[i]
    );
}

/// Largest magnitude.
pub fn largest(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(0.0, |largest, value| largest.max(value.abs()))
}
