//! The command, as a user or a scheduler sees it: exit code, stdout, stderr and what is left on the disk.
//!
//! Every test runs the real binary in a temporary folder, on data that the binary simulates or the test writes. Sorts
//! run on the CPU, so that results do not depend on the machine. One test binary, because linking costs more than
//! running.

mod bad_input;
mod bad_movies;
mod book;
mod convert;
mod data;
mod drawing;
mod estimates;
mod extremes;
mod faults_device;
mod faults_disk;
mod faults_input;
mod faults_kill;
mod faults_network;
mod formats;
mod hdf5;
mod imaging;
mod info_devices_params;
mod matching;
mod movies;
mod report;
mod report_movies;
mod rerun;
mod run;
mod same_answer;
mod same_imaging_answer;
mod scores;
mod segment;
mod selection;
mod snapshots;
mod stored_results;
mod told;
mod zarr;
