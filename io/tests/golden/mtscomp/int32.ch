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
    242,
    505,
    632
  ],
  "chunk_order": "F",
  "comp_level": -1,
  "do_spatial_diff": false,
  "do_time_diff": true,
  "dtype": "int32",
  "n_channels": 5,
  "sample_rate": 300.0,
  "sha1_compressed": "ae654643914d8d4753e64a4d4dbf6f8e11612954",
  "sha1_uncompressed": "25c1de31930fd73c539e30de3ceaf25cbde1a965",
  "shape": [
    700,
    5
  ],
  "version": "1.0"
}