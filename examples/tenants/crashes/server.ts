// A tenant that does not start, so that it can be seen what happens then.
console.log('connecting to the database …');
console.error('DATABASE_URL is not set');
process.exit(3);
