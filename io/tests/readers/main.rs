//! Every reader against files that other programs wrote, and against bad ones.

mod bad_input;
mod blackrock;
mod folder;
mod hdf5;
mod intan;
mod mtscomp;
mod noise;
mod nwb;
mod open_ephys;
mod open_ephys_legacy;
mod open_ephys_settings;
mod phy;
mod probes;
mod selection;
mod spikeglx;
mod spikeinterface_folder;
mod suite;
mod zarr;
