//! Which GPUs there are, and which one a run takes.
//!
//! `auto` takes a discrete GPU, else an integrated one, else the processor. A software adapter (Mesa's llvmpipe and
//! the like) is a processor that pretends: it is for testing kernels and only taken when a GPU is asked for and there
//! is no other.

use std::{fmt, str::FromStr};

use super::{CpuExecutor, DeviceError, Executor, WgpuExecutor, self_check};

/// Kind of an adapter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeviceType {
    /// A card with its own memory.
    Discrete,
    /// Shares the processor's memory.
    Integrated,
    /// A share of a card, given to a virtual machine.
    Virtual,
    /// A program that runs on the processor.
    Cpu,
    /// The driver does not say.
    Other,
}

impl fmt::Display for DeviceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeviceType::Discrete => "discrete",
            DeviceType::Integrated => "integrated",
            DeviceType::Virtual => "virtual",
            DeviceType::Cpu => "software",
            DeviceType::Other => "other",
        })
    }
}

/// One adapter as a user sees it.
#[derive(Clone, Debug)]
pub struct AdapterInfo {
    /// Number by which it can be chosen.
    pub index: usize,
    /// Name of the device.
    pub name: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Driver and its version.
    pub driver: String,
    /// Kind of device.
    pub device_type: DeviceType,
    /// PCI address such as `0000:01:00.0`, where the driver tells it.
    pub pci_bus_id: Option<String>,
    /// Whether it only pretends to be a GPU.
    pub is_software: bool,
    /// Largest buffer that a kernel can bind.
    pub max_binding_bytes: u64,
}

impl fmt::Display for AdapterInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[{}] {} ({}, {}",
            self.index, self.name, self.backend, self.device_type
        )?;
        if let Some(pci) = &self.pci_bus_id {
            write!(f, ", {pci}")?;
        }
        f.write_str(")")
    }
}

/// Which device a run takes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum DeviceChoice {
    /// A discrete, else an integrated GPU, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The best adapter, if need be a software one.
    Gpu,
    /// The adapter with this number in [`list`].
    Index(usize),
    /// The adapter with this PCI address, or with this in its name.
    Name(String),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        Ok(match text.to_ascii_lowercase().as_str() {
            "" => {
                return Err(
                    "a device is `auto`, `cpu`, `gpu`, a number, a PCI address or a name".into(),
                );
            }
            "auto" => DeviceChoice::Auto,
            "cpu" => DeviceChoice::Cpu,
            "gpu" => DeviceChoice::Gpu,
            lower => lower
                .parse()
                .map_or_else(|_| DeviceChoice::Name(text.into()), DeviceChoice::Index),
        })
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Gpu => f.write_str("gpu"),
            DeviceChoice::Index(index) => write!(f, "{index}"),
            DeviceChoice::Name(name) => f.write_str(name),
        }
    }
}

/// Parts of names by which software adapters are known that do not say so.
const SOFTWARE_NAMES: [&str; 4] = ["llvmpipe", "lavapipe", "swiftshader", "basic render driver"];

fn adapters() -> Vec<(wgpu::Adapter, AdapterInfo)> {
    let mut description = wgpu::InstanceDescriptor::new_without_display_handle();
    description.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    // The validation layers of a driver are only on when somebody sets WGPU_VALIDATION.
    description.flags = wgpu::InstanceFlags::empty().with_env();
    let instance = wgpu::Instance::new(description);
    pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()))
        .into_iter()
        .enumerate()
        .map(|(index, adapter)| {
            let info = adapter.get_info();
            let limits = adapter.limits();
            let device_type = match info.device_type {
                wgpu::DeviceType::DiscreteGpu => DeviceType::Discrete,
                wgpu::DeviceType::IntegratedGpu => DeviceType::Integrated,
                wgpu::DeviceType::VirtualGpu => DeviceType::Virtual,
                wgpu::DeviceType::Cpu => DeviceType::Cpu,
                wgpu::DeviceType::Other => DeviceType::Other,
            };
            let lower = info.name.to_ascii_lowercase();
            let described = AdapterInfo {
                index,
                is_software: device_type == DeviceType::Cpu
                    || SOFTWARE_NAMES.iter().any(|name| lower.contains(name)),
                name: info.name,
                backend: info.backend.to_string(),
                driver: format!("{} {}", info.driver, info.driver_info)
                    .trim()
                    .into(),
                device_type,
                pci_bus_id: Some(info.device_pci_bus_id).filter(|id| !id.is_empty()),
                max_binding_bytes: limits
                    .max_storage_buffer_binding_size
                    .min(limits.max_buffer_size),
            };
            (adapter, described)
        })
        .collect()
}

/// All adapters, in the driver's order.
pub fn list() -> Vec<AdapterInfo> {
    adapters().into_iter().map(|(_, info)| info).collect()
}

/// Smaller is better. Of two ways to one card, Vulkan or Metal comes before DirectX, whose older compiler does not
/// accept the matcher's loops.
fn rank(info: &AdapterInfo) -> (bool, u8, bool, usize) {
    let kind = match info.device_type {
        DeviceType::Discrete => 0,
        DeviceType::Integrated => 1,
        DeviceType::Virtual => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    };
    (info.is_software, kind, info.backend == "dx12", info.index)
}

fn suits_auto(info: &AdapterInfo) -> bool {
    !info.is_software
        && matches!(
            info.device_type,
            DeviceType::Discrete | DeviceType::Integrated
        )
}

fn suits(choice: &DeviceChoice, info: &AdapterInfo) -> bool {
    match choice {
        DeviceChoice::Auto => suits_auto(info),
        DeviceChoice::Cpu => false,
        DeviceChoice::Gpu => true,
        DeviceChoice::Index(index) => info.index == *index,
        DeviceChoice::Name(name) => {
            info.pci_bus_id
                .as_ref()
                .is_some_and(|id| id.eq_ignore_ascii_case(name))
                || info
                    .name
                    .to_ascii_lowercase()
                    .contains(&name.to_ascii_lowercase())
        }
    }
}

fn in_words<'a>(infos: impl Iterator<Item = &'a AdapterInfo>) -> String {
    let words: Vec<String> = infos.map(ToString::to_string).collect();
    if words.is_empty() {
        "none".into()
    } else {
        words.join(", ")
    }
}

/// An adapter that is open and was seen to compute.
fn checked(adapter: &wgpu::Adapter) -> Result<Box<dyn Executor>, DeviceError> {
    let executor = broken_in_tests(Box::new(WgpuExecutor::open(adapter)?))?;
    self_check::check(&*executor)?;
    Ok(executor)
}

#[cfg(debug_assertions)]
fn broken_in_tests(executor: Box<dyn Executor>) -> Result<Box<dyn Executor>, DeviceError> {
    super::faults::as_the_test_wants(executor)
}

#[cfg(not(debug_assertions))]
fn broken_in_tests(executor: Box<dyn Executor>) -> Result<Box<dyn Executor>, DeviceError> {
    Ok(executor)
}

/// Opens the device that a user asked for; `threads` is for the processor. With `auto` an adapter that does not open, or
/// computes something else than the processor, is passed over, and `tell` hears why.
///
/// # Errors
/// [`DeviceError::NoAdapter`] when none answers the request, [`DeviceError::Wrong`] when it does not compute what it should, or
/// what the driver said when it would not open.
pub fn open(
    choice: &DeviceChoice,
    threads: usize,
    mut tell: impl FnMut(String),
) -> Result<Box<dyn Executor>, DeviceError> {
    let processor = || broken_in_tests(Box::new(CpuExecutor::new(threads)));
    if *choice == DeviceChoice::Cpu {
        return processor();
    }
    let adapters = adapters();
    let mut suited: Vec<_> = adapters
        .iter()
        .filter(|(_, info)| suits(choice, info))
        .collect();
    suited.sort_by_key(|(_, info)| rank(info));
    if *choice == DeviceChoice::Auto {
        for (adapter, _) in suited {
            match checked(adapter) {
                Ok(executor) => return Ok(executor),
                Err(error) => tell(format!("a graphics card is not used: {error}")),
            }
        }
        return processor();
    }
    match suited.first() {
        Some((adapter, _)) => checked(adapter),
        None => Err(DeviceError::NoAdapter {
            wanted: format!("`{choice}`"),
            found: in_words(adapters.iter().map(|(_, info)| info)),
        }),
    }
}

/// What `auto` would take of these adapters, in words.
pub fn describe_auto(adapters: &[AdapterInfo]) -> String {
    match adapters
        .iter()
        .filter(|info| suits_auto(info))
        .min_by_key(|info| rank(info))
    {
        Some(info) => info.to_string(),
        None if adapters.is_empty() => "cpu (no GPU was found)".into(),
        None => "cpu (no discrete or integrated GPU was found)".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{AdapterInfo, DeviceChoice, DeviceType, describe_auto};

    fn adapter(index: usize, name: &str, device_type: DeviceType) -> AdapterInfo {
        AdapterInfo {
            index,
            name: name.into(),
            backend: "vulkan".into(),
            driver: String::new(),
            device_type,
            pci_bus_id: None,
            is_software: device_type == DeviceType::Cpu,
            max_binding_bytes: 0,
        }
    }

    #[test]
    fn auto_takes_discrete_then_integrated_then_the_processor() {
        let software = adapter(0, "llvmpipe", DeviceType::Cpu);
        let integrated = adapter(1, "small", DeviceType::Integrated);
        let discrete = adapter(2, "large", DeviceType::Discrete);
        assert!(describe_auto(&[software.clone(), integrated.clone(), discrete]).contains("large"));
        assert!(describe_auto(&[software.clone(), integrated]).contains("small"));
        assert!(describe_auto(&[software]).starts_with("cpu"));
    }

    #[test]
    fn a_choice_reads_words_numbers_and_names() {
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert_eq!("CPU".parse(), Ok(DeviceChoice::Cpu));
        assert_eq!("gpu".parse(), Ok(DeviceChoice::Gpu));
        assert_eq!("1".parse(), Ok(DeviceChoice::Index(1)));
        assert_eq!(
            "0000:01:00.0".parse(),
            Ok(DeviceChoice::Name("0000:01:00.0".into()))
        );
        assert!("".parse::<DeviceChoice>().is_err());
    }
}
