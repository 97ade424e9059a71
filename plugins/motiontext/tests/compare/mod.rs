//! The scenarios that were measured in a browser, and what is compared of them: the places of all boxes, and pictures.

pub mod boxes;
pub mod corpus;
pub mod frames;
pub mod similarity;
