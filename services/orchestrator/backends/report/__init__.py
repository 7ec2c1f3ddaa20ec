"""The files of a finished evaluation: report.html, verdict.json, junit.xml, results/*.parquet."""
