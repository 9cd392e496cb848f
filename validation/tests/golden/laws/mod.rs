//! Do the twins, the stages and the scores keep the laws that the mathematics promises, whatever the numbers are? One channel
//! or some dozens, constant and railed ones, denormals, the largest values, trains without a spike, cells of one pixel and at
//! the border. Numbers of other programs anchor what ordinary input gives; these laws hold for input that nobody thought of.
//!
//! How inputs are drawn, and how more of them are tried: [`values::cases`].

mod imaging_kernels;
mod imaging_stages;
mod mask_scores;
mod matching;
mod segmentation;
mod sorting_kernels;
mod sorting_stages;
mod spike_scores;
mod values;
