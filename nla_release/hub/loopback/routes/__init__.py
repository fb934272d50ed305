"""The Hub's endpoints, one module per topic; each exports its `ROUTES`."""
