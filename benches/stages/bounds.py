"""What `imaging_bounds.py` and `sorting_bounds.py` share: the device's options, and the table of kernels."""


def add_device(parser):
    """Options that describe a device: a middling card by default."""
    parser.add_argument("--bandwidth", type=float, default=400, help="memory of the device, GB/s")
    parser.add_argument("--gflops", type=float, default=10_000, help="arithmetic of the device, GFLOP/s")
    parser.add_argument("--bus", type=float, default=12, help="host to device, and back, GB/s")
    parser.add_argument("--disk", type=float, default=2, help="file to host, and back, GB/s")


def print_table(what, calls_of, rows, device):
    """Prints kernels as (name, calls, bytes and operations a call); returns the least seconds that all of them take."""
    print(f"{what}; {device.bandwidth:g} GB/s, {device.gflops / 1000:g} TFLOP/s, bus {device.bus:g} GB/s, file {device.disk:g} GB/s\n")
    print(f"| kernel | {calls_of} | MB a call | MFLOP a call | GB in all | GFLOP in all | operations a byte | at least, s | bound by |")
    print("|---|---|---|---|---|---|---|---|---|")
    total = [0.0, 0.0, 0.0]
    for kernel, calls, size, operations in rows:
        gb, gflop = calls * size / 1e9, calls * operations / 1e9
        memory, arithmetic = gb / device.bandwidth, gflop / device.gflops
        for k, value in enumerate((gb, gflop, max(memory, arithmetic))):
            total[k] += value
        print(f"| {kernel} | {calls:,.0f} | {size / 1e6:.3g} | {operations / 1e6:.3g} | {gb:.3g} | {gflop:.3g} | {operations / size:.1f} | {max(memory, arithmetic):.3g} | "
              f"{'memory' if memory > arithmetic else 'arithmetic'} |")
    print(f"| all | | | | {total[0]:.3g} | {total[1]:.3g} | {total[1] / total[0]:.1f} | {total[2]:.3g} | |")
    return total[2]
