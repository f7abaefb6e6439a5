//! From rows to views.
