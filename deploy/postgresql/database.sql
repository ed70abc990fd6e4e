-- Its database; the tables are made by the node.
SELECT 'CREATE DATABASE viaduct OWNER viaduct TEMPLATE template0 ENCODING ''UTF8'''
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'viaduct') \gexec
