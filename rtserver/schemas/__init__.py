"""The contracts for machines, all made from the models: OpenAPI, AsyncAPI, TypeScript and JSON Schema."""
