-- The daemon's rows. Files are the truth for images' layers and saved states; rows are the truth for everything else.
CREATE TABLE IF NOT EXISTS instances (
	uuid TEXT PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	image TEXT NOT NULL,
	description TEXT NOT NULL DEFAULT '',
	config TEXT NOT NULL DEFAULT '{}',
	ephemeral INTEGER NOT NULL DEFAULT 0,
	created INTEGER NOT NULL,
	last_used INTEGER NOT NULL DEFAULT 0
);

-- What was begun and not finished: the row comes before the deed and goes after it.
CREATE TABLE IF NOT EXISTS journal (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	flow TEXT NOT NULL,
	instance TEXT NOT NULL,
	detail TEXT,
	began INTEGER NOT NULL
);

-- Images: content by its fingerprint. The row comes last, when every layer is in its folder and on disk.
CREATE TABLE IF NOT EXISTS images (
	fingerprint TEXT PRIMARY KEY,
	manifest TEXT NOT NULL,
	config TEXT NOT NULL,
	description TEXT NOT NULL DEFAULT '',
	architecture TEXT NOT NULL DEFAULT '',
	created INTEGER NOT NULL DEFAULT 0,
	uploaded INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS image_layers (
	fingerprint TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
	position INTEGER NOT NULL,
	diff_id TEXT NOT NULL,
	bytes INTEGER NOT NULL,
	PRIMARY KEY (fingerprint, position)
);
CREATE INDEX IF NOT EXISTS image_layers_by_diff_id ON image_layers (diff_id);

CREATE TABLE IF NOT EXISTS image_aliases (
	name TEXT PRIMARY KEY,
	fingerprint TEXT NOT NULL REFERENCES images ON DELETE CASCADE
);

-- Named volumes: the row comes last, when the folder is there, and goes first.
CREATE TABLE IF NOT EXISTS volumes (
	name TEXT PRIMARY KEY,
	created INTEGER NOT NULL,
	fresh INTEGER NOT NULL DEFAULT 1 -- no instance has booted with it yet
);

-- What is mounted where: a volume at most once in an instance, and at most one at a path. Name is the device's.
CREATE TABLE IF NOT EXISTS attachments (
	instance TEXT NOT NULL REFERENCES instances ON DELETE CASCADE,
	name TEXT NOT NULL,
	volume TEXT NOT NULL REFERENCES volumes,
	path TEXT NOT NULL,
	readonly INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (instance, name),
	UNIQUE (instance, volume),
	UNIQUE (instance, path)
);
CREATE INDEX IF NOT EXISTS attachments_by_volume ON attachments (volume);
