//! Movies and still images: against files that other programs wrote, files made byte by byte, and bad ones.

mod allocations;
mod bad_input;
mod builder;
mod golden;
mod hdf5;
mod layouts;
mod noise;
mod raw_binary;
mod still_images;
mod suite;
mod zarr;
