//! Plays commands on a GPU through wgpu: the only file that knows a GPU API, with `adapters` beside it.
//!
//! A list of commands becomes one command buffer: uploads and zeros, the kernels in order, copies to memory that the
//! host can map. Two lists may be under way at once, so that one is uploaded or read back while the other computes.
//! Buffers come from a pool, since making one costs more than a small kernel, and a list asks for the same sizes block
//! after block. Every size is checked before anything is made: an error names the buffer.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use somata_shaders::{BindingAccess, Kernel};

use super::{
    Commands, DeviceError, Downloads, Executor, KernelTimes, Resident,
    commands::{BufferPlan, BufferSource, Dispatch},
};

/// Storage bindings that every kernel may count on.
const STORAGE_BUFFERS: u32 = 8;
/// Time stamps that one set can hold in WebGPU.
const MAX_TIMESTAMPS: usize = 4096;
/// Idle buffers that the pool keeps at most.
const POOL_BUFFERS: usize = 96;
/// How long to wait for a mapping before the device is asked again.
const MAP_WAIT: Duration = Duration::from_millis(20);

const STORAGE: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE
    .union(wgpu::BufferUsages::COPY_SRC)
    .union(wgpu::BufferUsages::COPY_DST);
const UNIFORM: wgpu::BufferUsages = wgpu::BufferUsages::UNIFORM.union(wgpu::BufferUsages::COPY_DST);
const READBACK: wgpu::BufferUsages =
    wgpu::BufferUsages::MAP_READ.union(wgpu::BufferUsages::COPY_DST);
const RESOLVE: wgpu::BufferUsages =
    wgpu::BufferUsages::QUERY_RESOLVE.union(wgpu::BufferUsages::COPY_SRC);

/// A GPU as an executor.
pub struct WgpuExecutor {
    name: String,
    device: wgpu::Device,
    queue: wgpu::Queue,
    binding_limit: u64,
    groups_limit: u32,
    uniform_step: u64,
    /// Bytes that the blocks of all lanes may take together.
    memory_budget: u64,
    /// Nanoseconds of a timer tick, where the adapter has timers.
    timestamp_period: Option<f32>,
    pipelines: Mutex<HashMap<&'static str, Arc<Pipeline>>>,
    pool: Mutex<Pool>,
    times: Mutex<KernelTimes>,
    /// What the driver said when it gave up, outside any call.
    failure: Arc<Mutex<Option<String>>>,
}

struct Pipeline {
    compute: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

/// Idle buffers by usage and size.
#[derive(Default)]
struct Pool {
    idle: BTreeMap<(u32, u64), Vec<wgpu::Buffer>>,
    count: usize,
    bytes: u64,
}

/// A buffer that goes back to the pool.
struct Pooled {
    buffer: wgpu::Buffer,
    usage: wgpu::BufferUsages,
}

enum Slot {
    Owned(Pooled),
    Resident(Arc<ResidentBuffer>),
}

impl Slot {
    fn buffer(&self) -> &wgpu::Buffer {
        match self {
            Slot::Owned(pooled) => &pooled.buffer,
            Slot::Resident(resident) => &resident.buffer,
        }
    }
}

/// What a [`Resident`] of this executor holds.
struct ResidentBuffer {
    buffer: wgpu::Buffer,
    device: wgpu::Device,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of a buffer: never 0, so that it can be bound.
fn bytes_of(words: usize) -> u64 {
    (words as u64 * 4).max(4)
}

/// Size that the pool makes for a request: steps of an eighth of a power of two, so that similar sizes share buffers.
fn pooled_size(bytes: u64) -> u64 {
    let step = (bytes.next_power_of_two() / 8).max(256);
    bytes.next_multiple_of(step)
}

impl WgpuExecutor {
    /// Opens an adapter with all its limits.
    ///
    /// # Errors
    /// When the driver refuses.
    pub(crate) fn open(adapter: &wgpu::Adapter) -> Result<Self, DeviceError> {
        let info = adapter.get_info();
        let name = format!("{} ({})", info.name, info.backend);
        let failed = |message: String| DeviceError::Failed {
            device: name.clone(),
            message,
        };
        let limits = adapter.limits();
        if limits.max_storage_buffers_per_shader_stage < STORAGE_BUFFERS {
            return Err(failed(format!(
                "it binds {} storage buffers, {STORAGE_BUFFERS} are needed",
                limits.max_storage_buffers_per_shader_stage
            )));
        }
        let timestamps = adapter.features() & wgpu::Features::TIMESTAMP_QUERY;
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("somata"),
            required_features: timestamps,
            required_limits: limits.clone(),
            ..Default::default()
        }))
        .map_err(|error| failed(error.to_string()))?;
        let failure = Arc::new(Mutex::new(None));
        let note = Arc::clone(&failure);
        device.set_device_lost_callback(move |reason, message| {
            // A device that is dropped at the end of a run is lost as well, but nobody asks then.
            lock(&note).get_or_insert(format!("device lost ({reason:?}): {message}"));
        });
        let note = Arc::clone(&failure);
        device.on_uncaptured_error(Arc::new(move |error| {
            lock(&note).get_or_insert(error.to_string());
        }));
        Ok(Self {
            binding_limit: limits
                .max_storage_buffer_binding_size
                .min(limits.max_buffer_size)
                & !3,
            groups_limit: limits.max_compute_workgroups_per_dimension,
            uniform_step: u64::from(limits.min_uniform_buffer_offset_alignment.max(16)),
            // wgpu does not tell how much memory a card has; these fit the small ones of each kind.
            memory_budget: match info.device_type {
                wgpu::DeviceType::DiscreteGpu | wgpu::DeviceType::VirtualGpu => 4 << 30,
                wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::Other => 1 << 30,
                wgpu::DeviceType::Cpu => 256 << 20,
            },
            timestamp_period: (!timestamps.is_empty()).then(|| queue.get_timestamp_period()),
            name,
            device,
            queue,
            pipelines: Mutex::default(),
            pool: Mutex::default(),
            times: Mutex::default(),
            failure,
        })
    }

    fn failed(&self, message: impl Into<String>) -> DeviceError {
        DeviceError::Failed {
            device: self.name.clone(),
            message: message.into(),
        }
    }

    /// What the driver said outside any call, if it did.
    fn check_failure(&self) -> Result<(), DeviceError> {
        match &*lock(&self.failure) {
            Some(message) => Err(self.failed(message.clone())),
            None => Ok(()),
        }
    }

    /// Runs `work` and turns every error that wgpu reports meanwhile on this thread into a result.
    fn guarded<T>(
        &self,
        buffer: &'static str,
        bytes: u64,
        work: impl FnOnce() -> T,
    ) -> Result<T, DeviceError> {
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let result = work();
        let memory = pollster::block_on(memory.pop());
        let validation = pollster::block_on(validation.pop());
        let internal = pollster::block_on(internal.pop());
        if memory.is_some() {
            return Err(DeviceError::OutOfMemory {
                device: self.name.clone(),
                buffer,
                bytes,
            });
        }
        match validation.or(internal) {
            Some(error) => Err(self.failed(error.to_string())),
            None => Ok(result),
        }
    }

    fn check_size(&self, buffer: &'static str, words: usize) -> Result<(), DeviceError> {
        let bytes = bytes_of(words);
        if bytes > self.binding_limit {
            return Err(DeviceError::BindingTooLarge {
                device: self.name.clone(),
                buffer,
                bytes,
                limit: self.binding_limit,
            });
        }
        Ok(())
    }

    fn create(
        &self,
        name: &'static str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, DeviceError> {
        let make = || {
            self.guarded(name, bytes, || {
                self.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(name),
                    size: bytes,
                    usage,
                    mapped_at_creation: false,
                })
            })
        };
        match make() {
            Err(DeviceError::OutOfMemory { .. }) => {
                // What lies idle is in the way.
                *lock(&self.pool) = Pool::default();
                let _ = self.device.poll(wgpu::PollType::Poll);
                make()
            }
            other => other,
        }
    }

    /// A buffer of at least `bytes` bytes with any content.
    fn take(
        &self,
        name: &'static str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<Pooled, DeviceError> {
        let size = pooled_size(bytes).min(self.binding_limit).max(bytes);
        let idle = {
            let mut pool = lock(&self.pool);
            let found = pool.idle.get_mut(&(usage.bits(), size)).and_then(Vec::pop);
            if found.is_some() {
                pool.count -= 1;
                pool.bytes -= size;
            }
            found
        };
        let buffer = match idle {
            Some(buffer) => buffer,
            None => self.create(name, size, usage)?,
        };
        Ok(Pooled { buffer, usage })
    }

    fn give_back(&self, pooled: Pooled) {
        let size = pooled.buffer.size();
        let mut pool = lock(&self.pool);
        if pool.count >= POOL_BUFFERS || pool.bytes + size > self.memory_budget / 2 {
            // Sizes have changed, as when another stage begins: start anew rather than keep what nobody asks for.
            *pool = Pool::default();
        }
        pool.count += 1;
        pool.bytes += size;
        pool.idle
            .entry((pooled.usage.bits(), size))
            .or_default()
            .push(pooled.buffer);
    }

    fn pipeline(&self, kernel: &'static Kernel) -> Result<Arc<Pipeline>, DeviceError> {
        let mut pipelines = lock(&self.pipelines);
        if let Some(pipeline) = pipelines.get(kernel.stem) {
            return Ok(Arc::clone(pipeline));
        }
        let source = kernel.source();
        let pipeline = self.guarded(kernel.stem, 0, || {
            let uniform = wgpu::BindGroupLayoutEntry {
                binding: 0,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Uniform,
                    has_dynamic_offset: true,
                    min_binding_size: None,
                },
                count: None,
            };
            let storage = source.bindings.iter().zip(1..).map(|(binding, index)| {
                wgpu::BindGroupLayoutEntry {
                    binding: index,
                    visibility: wgpu::ShaderStages::COMPUTE,
                    ty: wgpu::BindingType::Buffer {
                        ty: wgpu::BufferBindingType::Storage {
                            read_only: binding.access == BindingAccess::Read,
                        },
                        has_dynamic_offset: false,
                        min_binding_size: None,
                    },
                    count: None,
                }
            });
            let entries: Vec<_> = std::iter::once(uniform).chain(storage).collect();
            let layout = self
                .device
                .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                    label: Some(kernel.stem),
                    entries: &entries,
                });
            let pipeline_layout =
                self.device
                    .create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                        label: Some(kernel.stem),
                        bind_group_layouts: &[Some(&layout)],
                        immediate_size: 0,
                    });
            let module = self
                .device
                .create_shader_module(wgpu::ShaderModuleDescriptor {
                    label: Some(kernel.stem),
                    source: wgpu::ShaderSource::Wgsl(source.wgsl.into()),
                });
            let compute = self
                .device
                .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                    label: Some(kernel.stem),
                    layout: Some(&pipeline_layout),
                    module: &module,
                    entry_point: Some("main"),
                    // No kernel reads workgroup memory that it has not written.
                    compilation_options: wgpu::PipelineCompilationOptions {
                        zero_initialize_workgroup_memory: false,
                        ..Default::default()
                    },
                    cache: None,
                });
            Pipeline { compute, layout }
        })?;
        let pipeline = Arc::new(pipeline);
        pipelines.insert(kernel.stem, Arc::clone(&pipeline));
        Ok(pipeline)
    }

    /// Refuses what only a mistake in a stage can ask for, before wgpu does it in words that nobody understands.
    fn check_dispatch(&self, dispatch: &Dispatch, plans: &[BufferPlan]) -> Result<(), DeviceError> {
        let source = dispatch.kernel.source();
        let stem = dispatch.kernel.stem;
        if dispatch.buffers.len() != source.bindings.len()
            || dispatch.params.len() != source.params_size as usize
        {
            return Err(self.failed(format!(
                "kernel `{stem}` takes {} buffers and {} bytes of parameters, but got {} and {}",
                source.bindings.len(),
                source.params_size,
                dispatch.buffers.len(),
                dispatch.params.len()
            )));
        }
        if let Some(groups) = dispatch
            .workgroups
            .iter()
            .find(|&&groups| groups > self.groups_limit)
        {
            return Err(self.failed(format!(
                "kernel `{stem}` needs {groups} workgroups along one dimension, the limit is {}",
                self.groups_limit
            )));
        }
        for (binding, id) in source.bindings.iter().zip(&dispatch.buffers) {
            if binding.access == BindingAccess::ReadWrite
                && matches!(plans[id.0].source, BufferSource::Resident(_))
            {
                return Err(self.failed(format!(
                    "kernel `{stem}` would write `{}` to the resident `{}`",
                    binding.name, plans[id.0].name
                )));
            }
        }
        Ok(())
    }

    /// The buffers of a list, with what the host puts into them under way.
    fn fill_slots(
        &self,
        plans: Vec<BufferPlan>,
        encoder: &mut wgpu::CommandEncoder,
    ) -> Result<Vec<Slot>, DeviceError> {
        let mut slots = Vec::with_capacity(plans.len());
        for plan in plans {
            let bytes = bytes_of(plan.words);
            slots.push(match plan.source {
                BufferSource::Uninitialised => Slot::Owned(self.take(plan.name, bytes, STORAGE)?),
                BufferSource::Zeros => {
                    let pooled = self.take(plan.name, bytes, STORAGE)?;
                    encoder.clear_buffer(&pooled.buffer, 0, Some(bytes));
                    Slot::Owned(pooled)
                }
                BufferSource::Upload(words) => {
                    let pooled = self.take(plan.name, bytes, STORAGE)?;
                    if !words.is_empty() {
                        self.guarded(plan.name, bytes, || {
                            self.queue.write_buffer(
                                &pooled.buffer,
                                0,
                                bytemuck::cast_slice(&words),
                            );
                        })?;
                    }
                    Slot::Owned(pooled)
                }
                BufferSource::Resident(resident) => {
                    let resident = resident
                        .storage
                        .downcast::<ResidentBuffer>()
                        .ok()
                        .filter(|resident| resident.device == self.device)
                        .ok_or_else(|| {
                            self.failed(format!("`{}` is resident on another device", plan.name))
                        })?;
                    Slot::Resident(resident)
                }
            });
        }
        Ok(slots)
    }

    /// Waits for a submission and for the mapping of all its readbacks.
    fn wait(
        &self,
        submission: wgpu::SubmissionIndex,
        mapped: &mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
        expected: usize,
    ) -> Result<(), DeviceError> {
        let poll = |submission| {
            self.device
                .poll(wgpu::PollType::Wait {
                    submission_index: submission,
                    timeout: None,
                })
                .map_err(|error| self.failed(error.to_string()))
        };
        poll(Some(submission))?;
        let mut arrived = 0;
        while arrived < expected {
            match mapped.recv_timeout(MAP_WAIT) {
                Ok(Ok(())) => arrived += 1,
                Ok(Err(error)) => {
                    self.check_failure()?;
                    return Err(self.failed(error.to_string()));
                }
                // The other lane's poll may be about to call back.
                Err(_) => {
                    self.check_failure()?;
                    poll(None)?;
                }
            }
        }
        self.check_failure()
    }

    /// Adds the calls and, where there are time stamps, the durations of one list.
    fn count_times(&self, stems: &[&'static str], ticks: &[u64]) {
        let period = f64::from(self.timestamp_period.unwrap_or(0.0));
        let mut times = lock(&self.times);
        for (i, stem) in stems.iter().enumerate() {
            let entry = times.entry(stem).or_default();
            entry.0 += 1;
            if let Some(pair) = ticks.get(2 * i..2 * i + 2) {
                // Some drivers reset their clock between two passes.
                entry.1 +=
                    Duration::from_nanos((pair[1].saturating_sub(pair[0]) as f64 * period) as u64);
            }
        }
    }
}

impl Executor for WgpuExecutor {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn resident_words(&self, name: &'static str, words: Vec<u32>) -> Result<Resident, DeviceError> {
        self.check_failure()?;
        self.check_size(name, words.len())?;
        let bytes = bytes_of(words.len());
        let buffer = self.create(name, bytes, STORAGE)?;
        self.guarded(name, bytes, || {
            if !words.is_empty() {
                self.queue
                    .write_buffer(&buffer, 0, bytemuck::cast_slice(&words));
            }
            // Hands the data over now, so that the staging copy does not wait for the first list.
            self.queue.submit([]);
        })?;
        let storage = Arc::new(ResidentBuffer {
            buffer,
            device: self.device.clone(),
        });
        Ok(Resident {
            name,
            words: words.len(),
            storage,
        })
    }

    fn play(&self, commands: Commands) -> Result<Downloads, DeviceError> {
        self.check_failure()?;
        for plan in &commands.buffers {
            self.check_size(plan.name, plan.words)?;
        }
        for dispatch in &commands.dispatches {
            self.check_dispatch(dispatch, &commands.buffers)?;
        }
        let words: Vec<usize> = commands.buffers.iter().map(|plan| plan.words).collect();
        let pipelines = commands
            .dispatches
            .iter()
            .map(|dispatch| self.pipeline(dispatch.kernel))
            .collect::<Result<Vec<_>, _>>()?;

        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let slots = self.fill_slots(commands.buffers, &mut encoder)?;

        // The parameters of all dispatches in one buffer, each at its own offset.
        let largest = commands
            .dispatches
            .iter()
            .map(|dispatch| dispatch.params.len())
            .max()
            .unwrap_or(0);
        let uniform_size = (largest as u64).next_multiple_of(16).max(16);
        let uniform_step = uniform_size.next_multiple_of(self.uniform_step);
        let mut params = vec![0u8; uniform_step as usize * commands.dispatches.len()];
        for (slot, dispatch) in params
            .chunks_exact_mut(uniform_step as usize)
            .zip(&commands.dispatches)
        {
            slot[..dispatch.params.len()].copy_from_slice(&dispatch.params);
        }
        let uniforms = self.take(
            "parameters",
            (params.len() as u64).max(uniform_step),
            UNIFORM,
        )?;

        let timed = if self.timestamp_period.is_some() {
            commands.dispatches.len().min(MAX_TIMESTAMPS / 2)
        } else {
            0
        };
        let tick_bytes = 16 * timed as u64;
        let ticks = if timed == 0 {
            None
        } else {
            Some((
                self.guarded("time stamps", tick_bytes, || {
                    self.device.create_query_set(&wgpu::QuerySetDescriptor {
                        label: Some("time stamps"),
                        ty: wgpu::QueryType::Timestamp,
                        count: 2 * timed as u32,
                    })
                })?,
                self.take("time stamps", tick_bytes, RESOLVE)?,
                self.take("time stamps", tick_bytes, READBACK)?,
            ))
        };
        let mut readbacks = Vec::with_capacity(commands.downloads.len());
        for id in &commands.downloads {
            readbacks.push(self.take("download", bytes_of(words[id.0]), READBACK)?);
        }

        let submission = self.guarded("commands", 0, || {
            if !params.is_empty() {
                self.queue.write_buffer(&uniforms.buffer, 0, &params);
            }
            for (i, (dispatch, pipeline)) in commands.dispatches.iter().zip(&pipelines).enumerate()
            {
                let uniform = wgpu::BindGroupEntry {
                    binding: 0,
                    resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                        buffer: &uniforms.buffer,
                        offset: 0,
                        size: NonZeroU64::new(uniform_size),
                    }),
                };
                // Bound by its true size, not by the pool's: an index beyond it is caught by the shader's own check.
                let storage =
                    dispatch
                        .buffers
                        .iter()
                        .zip(1..)
                        .map(|(id, binding)| wgpu::BindGroupEntry {
                            binding,
                            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                                buffer: slots[id.0].buffer(),
                                offset: 0,
                                size: NonZeroU64::new(bytes_of(words[id.0])),
                            }),
                        });
                let entries: Vec<_> = std::iter::once(uniform).chain(storage).collect();
                let bind_group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some(dispatch.kernel.stem),
                    layout: &pipeline.layout,
                    entries: &entries,
                });
                let timestamp_writes =
                    ticks
                        .as_ref()
                        .filter(|_| i < timed)
                        .map(|(query_set, _, _)| wgpu::ComputePassTimestampWrites {
                            query_set,
                            beginning_of_pass_write_index: Some(2 * i as u32),
                            end_of_pass_write_index: Some(2 * i as u32 + 1),
                        });
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: Some(dispatch.kernel.stem),
                    timestamp_writes,
                });
                pass.set_pipeline(&pipeline.compute);
                pass.set_bind_group(0, &bind_group, &[(i as u64 * uniform_step) as u32]);
                let [x, y, z] = dispatch.workgroups;
                pass.dispatch_workgroups(x, y, z);
            }
            if let Some((query_set, resolved, readback)) = &ticks {
                encoder.resolve_query_set(query_set, 0..2 * timed as u32, &resolved.buffer, 0);
                encoder.copy_buffer_to_buffer(&resolved.buffer, 0, &readback.buffer, 0, tick_bytes);
            }
            for (id, readback) in commands.downloads.iter().zip(&readbacks) {
                encoder.copy_buffer_to_buffer(
                    slots[id.0].buffer(),
                    0,
                    &readback.buffer,
                    0,
                    bytes_of(words[id.0]),
                );
            }
            self.queue.submit([encoder.finish()])
        })?;

        let (sender, mapped) = mpsc::channel();
        let tick_range = ticks
            .as_ref()
            .map(|(_, _, readback)| (readback, tick_bytes));
        let ranges: Vec<(&Pooled, u64)> = commands
            .downloads
            .iter()
            .zip(&readbacks)
            .map(|(id, readback)| (readback, bytes_of(words[id.0])))
            .chain(tick_range)
            .collect();
        self.guarded("download", 0, || {
            for (readback, bytes) in &ranges {
                let sender = sender.clone();
                readback
                    .buffer
                    .slice(..bytes)
                    .map_async(wgpu::MapMode::Read, move |result| {
                        // The receiver is gone only when an error has been reported already.
                        let _ = sender.send(result);
                    });
            }
        })?;
        self.wait(submission, &mapped, ranges.len())?;

        let mut contents = Vec::with_capacity(ranges.len());
        for (readback, bytes) in &ranges {
            let view = readback
                .buffer
                .slice(..bytes)
                .get_mapped_range()
                .map_err(|error| self.failed(format!("{error:?}")))?;
            contents.push(bytemuck::pod_collect_to_vec::<u8, u32>(&view));
            drop(view);
            readback.buffer.unmap();
        }
        let tick_words = if ticks.is_some() {
            contents.pop().unwrap_or_default()
        } else {
            Vec::new()
        };
        let tick_values: Vec<u64> = bytemuck::pod_collect_to_vec(&tick_words);
        for (id, content) in commands.downloads.iter().zip(&mut contents) {
            content.truncate(words[id.0]);
        }
        let stems: Vec<_> = commands
            .dispatches
            .iter()
            .map(|dispatch| dispatch.kernel.stem)
            .collect();
        self.count_times(&stems, &tick_values);

        // All work on them has ended: others may have them.
        for slot in slots {
            if let Slot::Owned(pooled) = slot {
                self.give_back(pooled);
            }
        }
        for readback in readbacks {
            self.give_back(readback);
        }
        self.give_back(uniforms);
        if let Some((_, resolved, readback)) = ticks {
            self.give_back(resolved);
            self.give_back(readback);
        }
        Ok(Downloads(contents))
    }

    fn lanes(&self) -> usize {
        2
    }

    fn blocks_together(&self, bytes_per_block: u64) -> usize {
        let bytes = bytes_per_block.max(1);
        // All other buffers of a block together are about as large as the largest.
        let by_memory = self.memory_budget / (2 * self.lanes() as u64) / bytes;
        (self.binding_limit / bytes).min(by_memory).clamp(1, 64) as usize
    }

    fn kernel_times(&self) -> KernelTimes {
        lock(&self.times).clone()
    }
}
