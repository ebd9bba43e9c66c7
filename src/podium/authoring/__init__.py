"""What users write workflows with: decorators, the durable context, graphs, documents."""
