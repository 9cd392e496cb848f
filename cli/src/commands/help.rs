//! What follows the options in `--help`: examples, and what the exit codes mean.

/// The exit codes of commands that make a result.
macro_rules! exit_codes {
    () => {
        "\
Exit codes:
    0  finished, also when there was nothing to find, or the result was there already
    2  an option or a parameter is wrong
    3  the input is missing, damaged, or cannot be processed
    4  the result exists with other parameters, is in use, or cannot be written
    5  there is no such graphics device, or it failed
  137  out of memory
  130, 143  stopped by a signal: the same command goes on from where it was
    1  a bug"
    };
}

/// Headings of options.
pub mod heading {
    pub const RESULT: &str = "Result";
    pub const RECORDING: &str = "Recording";
    pub const MOVIE: &str = "Movie";
    pub const CELLS: &str = "Cells";
    pub const PARAMETERS: &str = "Parameters";
    pub const MACHINE: &str = "Machine";
    pub const MESSAGES: &str = "Messages";
}

pub const MAIN: &str = "\
Where to begin:
  somata demo                        two small data sets, processed and scored
  somata info FILE                   what your file is, and the command that processes it
  somata sort RECORDING --out OUT    spikes of units
  somata image MOVIE --out OUT       cells, traces and spikes
  somata COMMAND --help              options, examples and exit codes of one command";

pub const SORT: &str = concat!(
    "\
Examples:
  somata sort run_g0_t0.imec0.ap.bin --out sorted
      a file that says everything itself, as those of SpikeGLX
  somata sort data.bin --sampling-frequency 30000 --n-channels 64 --dtype int16 --gain-uv 0.195 \\
      --probe probe.json --out sorted
      a bare binary file, about which nothing is known but what you say
  somata sort morning.rhd evening.rhd --probe array.prb --channels wired --out sorted
      two files as one recording, without the channels that the probe lacks
  somata sort recording --start-s 60 --end-s 360 --set detection.threshold=6 --out tried
      five minutes of it, with another threshold
  somata sort recording --out sorted --dry-run
      what would be done, and how much memory and disk it takes

`somata info RECORDING` says what is in a file and which command sorts it. The same command again goes on where it was stopped, and does \
nothing when its result is there. What OUT holds is in docs/reference/output-folder.md.

",
    exit_codes!()
);

pub const IMAGE: &str = concat!(
    "\
Examples:
  somata image scan_00001.tif scan_00002.tif --out imaged
      ScanImage's files of one movie, in the order of time
  somata image tiffs --frame-rate 30 --out imaged
      a folder of TIFF files that do not say their rate
  somata image movie.tif --n-planes 4 --n-channels 2 --functional-channel 2 --out imaged
      four planes, cells active in the second of two channels
  somata image session.nwb --dataset TwoPhotonSeries --tau 1.2 --keep-movie --out imaged
      one movie of a file, a slow indicator, and the registered movie as well

`somata info MOVIE` says what is in a file and which command processes it. The same command again goes on where it was stopped, and does \
nothing when its result is there. What OUT holds is in docs/reference/output-folder.md.

",
    exit_codes!()
);

pub const SEGMENT: &str = concat!(
    "\
Examples:
  somata segment slice.tif --out labelled
  somata segment pictures --diameter 30 --channel 2 --out labelled
      all images of a folder, cells of about 30 pixels, stained in the second channel

",
    exit_codes!()
);

pub const INFO: &str = "\
Examples:
  somata info run_g0_t0.imec0.ap.bin
  somata info data.bin --sampling-frequency 30000 --n-channels 64 --dtype int16 --probe probe.json
  somata info scan_00001.tif --json

The probe is drawn as wide as the terminal, or as COLUMNS says. With NO_COLOR, or where the locale is not UTF-8, the drawing is plain ASCII.

Exit codes: 0 the file is known; 2 an option is wrong; 3 the file is missing, damaged, or of no format that somata knows.";
