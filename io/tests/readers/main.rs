//! Every reader against files that other programs wrote, and against bad ones.

mod bad_input;
mod blackrock;
mod folder;
mod hdf5;
mod noise;
mod nwb;
mod phy;
mod spikeglx;
mod spikeinterface_folder;
mod suite;
