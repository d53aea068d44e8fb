"""bin/compare_predictions: recurrent cells at predicting Pommerman."""
