"""WebDAV (RFC 4918, classes 1 and 2): the library as folders, for file managers, backup apps and rclone."""
