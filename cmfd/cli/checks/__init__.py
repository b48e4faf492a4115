"""What `cmfd doctor` looks at: nothing is changed, and every finding says what to do."""
