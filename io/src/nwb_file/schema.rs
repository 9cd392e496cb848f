//! The schema that a file carries in `/specifications`, so that programs know its types without having them installed.
//!
//! The files of `schema/` are JSON as pynwb writes it (`schema/make_schema.py`); their licence is `schema/LICENSE`. A file grows by
//! 140 kB. pynwb falls back on its own copy where there is none, but MatNWB does not.

use super::NwbWriter;
use crate::error::IoError;

/// The version of the core schema that written files follow.
pub(super) const CORE_VERSION: &str = "2.11.0";

/// Place under `/specifications`, and content.
macro_rules! sources {
    ($($place:literal => $file:literal),* $(,)?) => {
        [$(($place, include_str!(concat!("schema/", $file)))),*]
    };
}

/// Every source of every namespace.
const SOURCES: [(&str, &str); 21] = sources! {
    "core/2.11.0/namespace" => "core-2.11.0/namespace.json",
    "core/2.11.0/nwb.base" => "core-2.11.0/nwb.base.json",
    "core/2.11.0/nwb.behavior" => "core-2.11.0/nwb.behavior.json",
    "core/2.11.0/nwb.device" => "core-2.11.0/nwb.device.json",
    "core/2.11.0/nwb.ecephys" => "core-2.11.0/nwb.ecephys.json",
    "core/2.11.0/nwb.epoch" => "core-2.11.0/nwb.epoch.json",
    "core/2.11.0/nwb.event" => "core-2.11.0/nwb.event.json",
    "core/2.11.0/nwb.file" => "core-2.11.0/nwb.file.json",
    "core/2.11.0/nwb.icephys" => "core-2.11.0/nwb.icephys.json",
    "core/2.11.0/nwb.image" => "core-2.11.0/nwb.image.json",
    "core/2.11.0/nwb.misc" => "core-2.11.0/nwb.misc.json",
    "core/2.11.0/nwb.ogen" => "core-2.11.0/nwb.ogen.json",
    "core/2.11.0/nwb.ophys" => "core-2.11.0/nwb.ophys.json",
    "core/2.11.0/nwb.retinotopy" => "core-2.11.0/nwb.retinotopy.json",
    "hdmf-common/1.10.0/base" => "hdmf-common-1.10.0/base.json",
    "hdmf-common/1.10.0/namespace" => "hdmf-common-1.10.0/namespace.json",
    "hdmf-common/1.10.0/resources" => "hdmf-common-1.10.0/resources.json",
    "hdmf-common/1.10.0/sparse" => "hdmf-common-1.10.0/sparse.json",
    "hdmf-common/1.10.0/table" => "hdmf-common-1.10.0/table.json",
    "hdmf-experimental/0.6.0/experimental" => "hdmf-experimental-0.6.0/experimental.json",
    "hdmf-experimental/0.6.0/namespace" => "hdmf-experimental-0.6.0/namespace.json",
};

/// Writes the schema.
pub(super) fn write(nwb: &mut NwbWriter) -> Result<(), IoError> {
    for (place, text) in SOURCES {
        nwb.text(&format!("specifications/{place}"), text.trim_end())?;
    }
    Ok(())
}
