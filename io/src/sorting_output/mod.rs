//! Sortings out, and in again to hand them on.
//!
//! [`phy`] writes the folder of a sort; [`phy_reader`] reads one, whoever wrote it. [`spikeinterface_npz`], [`spike_tables`] and
//! [`sorting_mat`] write what was read for SpikeInterface, for pandas or a spreadsheet, and for MATLAB; [`nwb_units`] puts it into an NWB file,
//! with what [`phy_templates`] reads.

pub mod nwb_units;
pub mod phy;
mod phy_params;
pub mod phy_reader;
pub mod phy_templates;
pub mod sorting_mat;
pub mod spike_tables;
pub mod spikeinterface_npz;
