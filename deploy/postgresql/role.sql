-- The role of a node on the same machine. It connects through the socket as the user that its process
-- is (`peer` in pg_hba.conf, as Debian has it), so it has no password.
SELECT 'CREATE ROLE viaduct LOGIN'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'viaduct') \gexec
