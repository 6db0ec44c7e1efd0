"""Pure numerical functions on tensors."""
