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
    3011,
    6022,
    7033
  ],
  "chunk_order": "F",
  "comp_level": -1,
  "do_spatial_diff": false,
  "do_time_diff": false,
  "dtype": "int16",
  "n_channels": 5,
  "sample_rate": 300.0,
  "sha1_compressed": "b3f57906896eb8c5ff80848c3c9d379d896954ee",
  "sha1_uncompressed": "30d22ebcaebc4b87460e1cc4a9a8b05b2e641b32",
  "shape": [
    700,
    5
  ],
  "version": "1.0"
}