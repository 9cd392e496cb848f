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
    198,
    400,
    495
  ],
  "chunk_order": "F",
  "comp_level": -1,
  "do_spatial_diff": false,
  "do_time_diff": true,
  "dtype": "uint16",
  "n_channels": 5,
  "sample_rate": 300.0,
  "sha1_compressed": "1d00b754824207950623922f30aa7134a6df3a74",
  "sha1_uncompressed": "30d22ebcaebc4b87460e1cc4a9a8b05b2e641b32",
  "shape": [
    700,
    5
  ],
  "version": "1.0"
}