/**
 * The database of a daemon and of a command that names none. Not in /var/tmp, where systems remove
 * files that nobody has touched for some time. cli/tinymq.js and the page repeat it.
 */
export const defaultDatabase = '/var/lib/tinymq/tinymqdb'
