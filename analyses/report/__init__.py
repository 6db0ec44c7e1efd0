"""Reports: sentences, tables and figures of a finished analysis in one document."""
