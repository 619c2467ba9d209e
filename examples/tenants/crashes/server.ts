// A tenant that fails to start, to show back-off.
console.log('connecting to the database …');
console.error('DATABASE_URL is not set');
process.exit(3);
