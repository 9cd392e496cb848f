//! Every reader against files that other programs wrote, and against bad ones.

mod bad_input;
mod blackrock;
mod folder;
mod noise;
mod phy;
mod spikeglx;
mod spikeinterface_folder;
mod suite;
mod zarr;
