{
  "algorithm": "zlib",
  "chunk_bounds": [
    0,
    300,
    600,
    700
  ],
  "chunk_offsets": [
    0,
    181,
    368,
    450
  ],
  "chunk_order": "F",
  "comp_level": -1,
  "do_spatial_diff": true,
  "do_time_diff": true,
  "dtype": "int16",
  "n_channels": 5,
  "sample_rate": 300.0,
  "sha1_compressed": "4b8e20f97b0ea7b39abfb47d12e0eefe9a33dab7",
  "sha1_uncompressed": "30d22ebcaebc4b87460e1cc4a9a8b05b2e641b32",
  "shape": [
    700,
    5
  ],
  "version": "1.0"
}