//! What the executors promise apart from the kernels.

use somata_engine::device::{Commands, CpuExecutor, DeviceError, Executor, adapters};
use somata_shaders::layout::{PhaseShiftParams, SubtractTemplatesParams, SumWaveformsParams};

use crate::{both::both, random::Random};

/// A filter of one tap copies its input, times the tap.
fn copies(samples: usize) -> PhaseShiftParams {
    PhaseShiftParams {
        n_blocks: 1,
        n_samples: samples as u32,
        n_channels: 1,
        n_taps: 1,
    }
}

#[test]
fn kernels_run_in_order_and_downloads_come_in_order() {
    let Some(both) = both() else { return };
    let x: Vec<f32> = (0..1001).map(|i| i as f32).collect();
    let (cpu, gpu) = both.play(
        |commands| {
            let x = commands.upload("x", &x);
            let two = commands.upload("two", &[2.0f32]);
            let a = commands.buffer("a", 1001);
            let b = commands.buffer("b", 1001);
            commands.dispatch(&copies(1001), &[x, two, a]);
            commands.dispatch(&copies(1001), &[a, two, b]);
            commands.dispatch(&copies(1001), &[b, two, a]);
            let untouched = commands.zeros("zeros", 77);
            let empty = commands.upload::<f32>("empty", &[]);
            [a, b, untouched, empty, x].map(|id| commands.download(id))
        },
        |downloads, ids| ids.map(|id| downloads.take::<f32>(id)),
    );
    assert_eq!(cpu, gpu);
    assert_eq!(gpu[0][1000], 8000.0);
    assert_eq!(gpu[1][1000], 4000.0);
    assert_eq!(gpu[2], vec![0.0; 77]);
    assert_eq!(gpu[3], Vec::<f32>::new());
    assert_eq!(gpu[4], x);
}

#[test]
fn zeros_are_zeros_although_buffers_are_used_again() {
    let Some(both) = both() else { return };
    for round in 0..4 {
        let (_, gpu) = both.play(
            |commands| {
                let x = commands.upload("x", &vec![1.0f32; 5000]);
                let zeros = commands.zeros("zeros", 5000);
                let out = commands.buffer("out", 5000);
                commands.dispatch(&copies(5000), &[x, zeros, out]);
                (commands.download(zeros), commands.download(out))
            },
            |downloads, (zeros, out)| (downloads.take::<f32>(zeros), downloads.take::<f32>(out)),
        );
        assert!(
            gpu.0.iter().chain(&gpu.1).all(|&value| value == 0.0),
            "round {round}"
        );
    }
}

#[test]
fn residents_stay_and_belong_to_their_executor() {
    let Some(both) = both() else { return };
    let tap = both.gpu.resident("tap", &[3.0f32]).expect("room");
    for _ in 0..2 {
        let mut commands = Commands::new();
        let x = commands.upload("x", &[1.0f32, 2.0, 4.0]);
        let tap = commands.resident(&tap);
        let out = commands.buffer("out", 3);
        commands.dispatch(&copies(3), &[x, tap, out]);
        let (out, again) = (commands.download(out), commands.download(tap));
        let mut downloads = both.gpu.play(commands).expect("plays");
        assert_eq!(downloads.take::<f32>(out), [3.0, 6.0, 12.0]);
        assert_eq!(downloads.take::<f32>(again), [3.0]);
    }
    // To write to a resident, or to use one of the processor, is a mistake that the executor names.
    let mut commands = Commands::new();
    let x = commands.upload("x", &[1.0f32]);
    let resident = commands.resident(&tap);
    commands.dispatch(&copies(1), &[x, x, resident]);
    assert!(matches!(
        both.gpu.play(commands),
        Err(DeviceError::Failed { .. })
    ));
    let foreign = (&both.cpu as &dyn Executor)
        .resident("foreign", &[1.0f32])
        .expect("room");
    let mut commands = Commands::new();
    commands.resident(&foreign);
    assert!(matches!(
        both.gpu.play(commands),
        Err(DeviceError::Failed { .. })
    ));
}

#[test]
fn what_does_not_fit_is_an_error_that_names_the_buffer() {
    let Some(both) = both() else { return };
    let limit = adapters::list()
        .iter()
        .map(|info| info.max_binding_bytes)
        .max()
        .expect("an adapter");
    let mut commands = Commands::new();
    commands.buffer("enormous", (limit / 4) as usize + 1);
    match both.gpu.play(commands) {
        Err(DeviceError::BindingTooLarge { buffer, bytes, .. }) => {
            assert_eq!(buffer, "enormous");
            assert!(bytes > limit);
        }
        other => panic!("{:?}", other.map(|_| ()).map_err(|error| error.to_string())),
    }
    // Bindings that do not suit the kernel.
    let mut commands = Commands::new();
    let x = commands.upload("x", &[1.0f32]);
    commands.dispatch(&copies(1), &[x]);
    assert!(matches!(
        both.gpu.play(commands),
        Err(DeviceError::Failed { .. })
    ));
    // One buffer read and written by the same kernel.
    let mut commands = Commands::new();
    let x = commands.upload("x", &[1.0f32]);
    commands.dispatch(&copies(1), &[x, x, x]);
    assert!(matches!(
        both.gpu.play(commands),
        Err(DeviceError::Failed { .. })
    ));
    // And the executor still works.
    let mut commands = Commands::new();
    let x = commands.upload("x", &[5.0f32]);
    let x = commands.download(x);
    assert_eq!(
        both.gpu.play(commands).expect("plays").take::<f32>(x),
        [5.0]
    );
}

#[test]
fn several_threads_play_at_once() {
    let Some(both) = both() else { return };
    let calls = |executor: &dyn Executor| {
        executor
            .kernel_times()
            .get("sum_waveforms")
            .map_or(0, |times| times.0)
    };
    let before = calls(&*both.gpu);
    std::thread::scope(|scope| {
        for thread in 0..both.gpu.lanes() as u64 + 1 {
            scope.spawn(move || {
                let mut random = Random(181 + thread);
                for round in 0..12 {
                    let (samples, channels) = (50 + random.below(200), 3);
                    let x: Vec<f32> = (0..channels * samples)
                        .map(|_| random.below(9) as f32 - 4.0)
                        .collect();
                    let waveform: Vec<f32> =
                        (0..channels * 10).map(|_| random.below(9) as f32).collect();
                    let play = |executor: &dyn Executor| {
                        let mut commands = Commands::new();
                        let x = commands.upload("x", &x);
                        let spikes = commands.upload(
                            "spikes",
                            &[1u32, 0, 1.0f32.to_bits(), 0, 7, 0, 2.0f32.to_bits(), 0],
                        );
                        let count = commands.upload("count", &[2u32]);
                        let start = commands.upload("channel_start", &[0u32, 3]);
                        let channel = commands.upload("channel", &[0u32, 1, 2]);
                        let waveform = commands.upload("waveform", &waveform);
                        let p = SubtractTemplatesParams {
                            n_blocks: 1,
                            n_samples: samples as u32,
                            n_channels: channels as u32,
                            n_units: 1,
                            n_taps: 10,
                            capacity: 2,
                        };
                        commands.dispatch(&p, &[x, spikes, count, start, channel, waveform]);
                        let events = commands.upload("events", &[20u32, 1, 0, 0]);
                        let one = commands.upload("count", &[1u32]);
                        let neighbour = commands.upload("neighbour", &[0u32, 1, 2]);
                        let sums = commands.zeros("sums", 30);
                        let p = SumWaveformsParams {
                            n_blocks: 1,
                            n_samples: samples as u32,
                            n_channels: channels as u32,
                            n_neighbours: 1,
                            n_taps: 30,
                            before: 20,
                            capacity: 1,
                            scale: 1.0,
                            limit: 1e4,
                        };
                        commands.dispatch(&p, &[x, events, one, neighbour, sums]);
                        let (x, sums) = (commands.download(x), commands.download(sums));
                        let mut downloads = executor.play(commands).expect("plays");
                        (downloads.take::<f32>(x), downloads.take::<i32>(sums))
                    };
                    // Small integers: exact on every device.
                    assert_eq!(
                        play(&CpuExecutor::new(1)),
                        play(&*both.gpu),
                        "thread {thread}, round {round}"
                    );
                }
            });
        }
    });
    assert!(calls(&*both.gpu) >= before + 36, "calls are counted");
}

#[test]
fn as_many_blocks_travel_as_fit() {
    let Some(both) = both() else { return };
    assert_eq!(both.gpu.blocks_together(1), 64);
    assert_eq!(both.gpu.blocks_together(u64::MAX), 1);
    assert!(both.gpu.lanes() >= 1);
}

#[test]
fn a_device_that_is_not_there_is_named_with_those_that_are() {
    let choice = "no such device".parse().expect("a name");
    match adapters::open(&choice, 1, |_| ()) {
        Err(DeviceError::NoAdapter { wanted, found }) => {
            assert!(wanted.contains("no such device"));
            assert!(!found.is_empty());
        }
        other => panic!(
            "{:?}",
            other
                .map(|executor| executor.name())
                .map_err(|error| error.to_string())
        ),
    }
    assert_eq!(
        adapters::open(&"cpu".parse().expect("a word"), 1, |_| ())
            .expect("always there")
            .name(),
        "cpu"
    );
}

#[test]
fn auto_never_takes_a_software_adapter() {
    let all = adapters::list();
    let executor = adapters::open(&"auto".parse().expect("a word"), 1, |_| ())
        .expect("at least the processor");
    if all.iter().all(|info| info.is_software) {
        assert_eq!(executor.name(), "cpu");
        assert!(adapters::describe_auto(&all).starts_with("cpu"));
    } else {
        assert!(!executor.name().contains("llvmpipe"));
    }
}
