//! Sortings out.

pub mod phy;
mod phy_params;
