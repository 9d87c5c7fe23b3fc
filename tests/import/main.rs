//! Weights from elsewhere: files as PyTorch writes them, damaged ones and hostile ones, and the way
//! back.

mod files;
mod hostile;
mod kinds;
mod official;
mod torch_file;
mod wrappers;
