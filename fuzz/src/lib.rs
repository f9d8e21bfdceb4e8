//! What the fuzz targets share: a disk in memory, and checksums made right again.

pub mod disk;
pub mod mend;
