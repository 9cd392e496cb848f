//! Which page holds which frame.
//!
//! Pages of a movie interleave channels, planes and time. All orders that are read are sums of steps: page = frame × step +
//! plane × step + channel × step, where a slow stack repeats each plane some times before it moves to the next, and a fast
//! one may end each volume with pages of the flyback, which are skipped.

/// A dimension of a movie besides height and width.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Axis {
    Channel,
    Plane,
    Time,
}

/// The steps from page to page.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct FrameOrder {
    pub n_planes: usize,
    pub n_channels: usize,
    plane_step: u64,
    channel_step: u64,
    /// Frames of one plane that follow each other before the next plane.
    n_repeats: u64,
    repeat_step: u64,
    /// Pages from one volume to the next.
    volume_step: u64,
    /// Time points, where time is not the slowest axis and so cannot be counted from the pages.
    fixed_frames: Option<u64>,
}

impl FrameOrder {
    /// Channel fastest, then plane, then time: what microscopes write.
    pub fn interleaved(n_planes: usize, n_channels: usize) -> FrameOrder {
        FrameOrder::stack(n_planes, n_channels, 1, 0)
    }

    /// Channel fastest, then the frames that repeat a plane, then plane, then `n_flyback` frames that are skipped.
    pub fn stack(n_planes: usize, n_channels: usize, n_repeats: u64, n_flyback: u64) -> FrameOrder {
        let channels = n_channels as u64;
        let plane_step = channels * n_repeats;
        FrameOrder {
            n_planes,
            n_channels,
            plane_step,
            channel_step: 1,
            n_repeats,
            repeat_step: channels,
            volume_step: plane_step * n_planes as u64 + n_flyback * channels,
            fixed_frames: None,
        }
    }

    /// Any order of the three axes, fastest first.
    pub fn of_axes(
        axes: [Axis; 3],
        n_planes: usize,
        n_channels: usize,
        n_frames: u64,
    ) -> FrameOrder {
        let mut order = FrameOrder::interleaved(n_planes, n_channels);
        let mut step = 1u64;
        for axis in axes {
            let (slot, size) = match axis {
                Axis::Channel => (&mut order.channel_step, n_channels as u64),
                Axis::Plane => (&mut order.plane_step, n_planes as u64),
                Axis::Time => (&mut order.volume_step, n_frames),
            };
            *slot = step;
            step = step.saturating_mul(size);
        }
        // An axis of one element does not matter: time is slowest when all that follows it is such.
        let slower = axes.iter().skip_while(|&&axis| axis != Axis::Time).skip(1);
        let is_slowest = slower
            .map(|axis| match axis {
                Axis::Channel => n_channels,
                _ => n_planes,
            })
            .all(|size| size == 1);
        if !is_slowest {
            order.fixed_frames = Some(n_frames);
        }
        order
    }

    /// Whether frames can be counted from the pages, so that files can be joined page after page.
    pub fn time_is_slowest(&self) -> bool {
        self.fixed_frames.is_none()
    }

    /// The page of a frame.
    pub fn page(&self, frame: u64, plane: usize, channel: usize) -> u64 {
        frame / self.n_repeats * self.volume_step
            + frame % self.n_repeats * self.repeat_step
            + plane as u64 * self.plane_step
            + channel as u64 * self.channel_step
    }

    /// Pages from the start of a volume to its last page that is used.
    fn needed_pages(&self) -> u64 {
        let last = |n: u64, step: u64| (n - 1).saturating_mul(step);
        last(self.n_repeats, self.repeat_step)
            .saturating_add(last(self.n_planes as u64, self.plane_step))
            .saturating_add(last(self.n_channels as u64, self.channel_step))
            .saturating_add(1)
    }

    /// Pages of one volume, skipped ones included.
    pub fn volume_pages(&self) -> u64 {
        if self.time_is_slowest() {
            self.volume_step
        } else {
            self.needed_pages()
        }
    }

    /// Whole time points in `n_pages` pages, and the pages at the end that make no whole one.
    pub fn count(&self, n_pages: u64) -> (u64, u64) {
        if let Some(n_frames) = self.fixed_frames {
            let needed = self
                .needed_pages()
                .saturating_add(n_frames.saturating_sub(1).saturating_mul(self.volume_step));
            return if needed <= n_pages {
                (n_frames, n_pages - needed)
            } else {
                (0, n_pages)
            };
        }
        let Some(after_first) = n_pages.checked_sub(self.needed_pages()) else {
            return (0, n_pages);
        };
        let n_volumes = after_first / self.volume_step + 1;
        let left_over = n_pages.saturating_sub(n_volumes * self.volume_step);
        (n_volumes * self.n_repeats, left_over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_fastest_then_planes_then_time() {
        let order = FrameOrder::interleaved(3, 2);
        for (frame, plane, channel) in [(0, 0, 0), (0, 2, 1), (4, 1, 0), (9, 0, 1)] {
            let expected = (frame * 3 + plane as u64) * 2 + channel as u64;
            assert_eq!(order.page(frame, plane, channel), expected);
        }
        assert_eq!(order.count(60), (10, 0));
        assert_eq!(order.count(65), (10, 5));
        assert_eq!(order.count(5), (0, 5));
    }

    #[test]
    fn flyback_is_skipped_and_may_be_missing_at_the_end() {
        let order = FrameOrder::stack(3, 2, 1, 1);
        assert_eq!(order.page(1, 0, 0), 8);
        assert_eq!(order.page(2, 2, 1), 21);
        assert_eq!(order.count(16), (2, 0));
        assert_eq!(order.count(14), (2, 0));
        assert_eq!(order.count(13), (1, 5));
    }

    #[test]
    fn a_slow_stack_repeats_each_plane() {
        let order = FrameOrder::stack(2, 1, 5, 0);
        let pages: Vec<u64> = (0..10).map(|frame| order.page(frame, 1, 0)).collect();
        assert_eq!(pages, [5, 6, 7, 8, 9, 15, 16, 17, 18, 19]);
        assert_eq!(order.count(25), (10, 5));
    }

    #[test]
    fn time_may_be_faster_than_planes() {
        let order = FrameOrder::of_axes([Axis::Time, Axis::Plane, Axis::Channel], 3, 2, 7);
        assert_eq!(order.page(6, 2, 1), 6 + 2 * 7 + 21);
        assert_eq!(order.count(42), (7, 0));
        assert_eq!(order.count(41), (0, 41));
        assert!(!order.time_is_slowest());
        let order = FrameOrder::of_axes([Axis::Plane, Axis::Time, Axis::Channel], 3, 1, 7);
        assert!(order.time_is_slowest());
        assert_eq!(order.count(30), (10, 0));
    }
}
