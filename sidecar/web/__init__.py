"""What the API and the pages share: server, middleware, origins, parameters, forms, event streams, errors."""
